//! Every check between a certificate and a lease, each refused with its own code; and rights that end while in use.

#![allow(clippy::unwrap_used, missing_docs)]

mod memory_access;

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, Bytes};
use alloy::signers::Signer as _;
use alloy::signers::local::PrivateKeySigner;
use iono_identity::authorisation::{EXTENSION_OID, Envelope};
use iono_identity::client::UnsignedIdentity;
use iono_identity::{Authenticator, ClientIdentity, Domain, IdentityRequest, Need, Refusal, unix_now};
use iono_primitives::{LeaseId, WalletId};
use memory_access::MemoryAccess;
use rcgen::{CertificateParams, CustomExtension, KeyPair};

const DOMAIN: Domain = Domain { chain_id: 31_337, lease_access: Address::repeat_byte(0xac) };
const WALLET: u64 = 1;
const LEASE: LeaseId = LeaseId(10);
const HOUR: Duration = Duration::from_secs(3_600);

struct World {
    access: Arc<MemoryAccess>,
    authenticator: Authenticator,
    owner: PrivateKeySigner,
}

fn world() -> World {
    let access = Arc::new(MemoryAccess::default());
    let owner = PrivateKeySigner::random();
    access.transfer(WALLET, owner.address());
    access.lease(LEASE.0, WALLET, true);
    access.lease(11, WALLET, true);
    access.lease(20, 2, true);
    let authenticator = Authenticator::new(DOMAIN, access.clone());
    World { access, authenticator, owner }
}

fn request() -> IdentityRequest {
    IdentityRequest {
        domain: DOMAIN,
        wallet: WalletId(WALLET),
        lease: None,
        write: true,
        nonce: 0,
        lifetime: HOUR,
    }
}

async fn signed_at(signer: &PrivateKeySigner, request: &IdentityRequest, not_before: u64) -> ClientIdentity {
    let unsigned = UnsignedIdentity::at(request, signer.address(), not_before).unwrap();
    let signature = signer.sign_hash(&unsigned.signing_hash()).await.unwrap();
    unsigned.finish(Bytes::from(signature.as_bytes().to_vec())).unwrap()
}

impl World {
    async fn try_at(
        &self,
        identity: &ClientIdentity,
        lease: LeaseId,
        need: Need,
        now: u64,
    ) -> Result<(), Refusal> {
        let caller = self.authenticator.authenticate(Some(identity.certificate()), now).await?;
        self.authenticator.authorise(&caller, lease, need).await
    }

    async fn code(&self, identity: &ClientIdentity, lease: LeaseId, need: Need) -> &'static str {
        match self.try_at(identity, lease, need, unix_now()).await {
            Ok(()) => "ok",
            Err(refusal) => {
                assert!(!refusal.hint().is_empty() && !refusal.to_string().is_empty());
                refusal.code()
            }
        }
    }
}

#[tokio::test]
async fn the_owner_is_let_in_and_others_are_told_why_not() {
    let world = world();
    let stranger = PrivateKeySigner::random();
    let owner = ClientIdentity::issue(&world.owner, &request()).await.unwrap();
    assert_eq!(world.code(&owner, LEASE, Need::Write).await, "ok");
    assert_eq!(world.code(&owner, LeaseId(20), Need::Read).await, "foreign_lease");
    assert_eq!(world.code(&owner, LeaseId(99), Need::Read).await, "unknown_lease");

    let foreign = ClientIdentity::issue(&stranger, &request()).await.unwrap();
    assert_eq!(world.code(&foreign, LEASE, Need::Read).await, "not_allowed");

    let one = IdentityRequest { lease: Some(LeaseId(11)), ..request() };
    let one = ClientIdentity::issue(&world.owner, &one).await.unwrap();
    assert_eq!(world.code(&one, LEASE, Need::Read).await, "wrong_lease");
    assert_eq!(world.code(&one, LeaseId(11), Need::Write).await, "ok");

    assert_eq!(world.authenticator.authenticate(None, 0).await.unwrap_err(), Refusal::NoCertificate);
}

#[tokio::test]
async fn another_deployment_is_named() {
    let world = world();
    for (domain, code) in [
        (Domain { chain_id: 1, ..DOMAIN }, "wrong_chain"),
        (Domain { lease_access: Address::ZERO, ..DOMAIN }, "wrong_registry"),
    ] {
        let identity =
            ClientIdentity::issue(&world.owner, &IdentityRequest { domain, ..request() }).await.unwrap();
        assert_eq!(world.code(&identity, LEASE, Need::Read).await, code);
    }
}

#[tokio::test]
async fn a_signature_for_another_chain_does_not_pass_as_one_for_this() {
    let world = world();
    let unsigned = UnsignedIdentity::new(&request(), world.owner.address()).unwrap();
    let elsewhere = IdentityRequest { domain: Domain { chain_id: 1, ..DOMAIN }, ..request() };
    let other = UnsignedIdentity::new(&elsewhere, world.owner.address()).unwrap();
    let signature = world.owner.sign_hash(&other.signing_hash()).await.unwrap();
    let identity = unsigned.finish(Bytes::from(signature.as_bytes().to_vec())).unwrap();
    assert_eq!(world.code(&identity, LEASE, Need::Read).await, "bad_signature");
}

/// Somebody copies what the owner's wallet signed into a certificate of a key of its own.
#[tokio::test]
async fn an_authorisation_of_another_key_is_refused() {
    let world = world();
    let owner = ClientIdentity::issue(&world.owner, &request()).await.unwrap();
    let (envelope, _) = Envelope::from_certificate(owner.certificate()).unwrap();
    let mut copied = CertificateParams::default();
    copied.custom_extensions = vec![CustomExtension::from_oid_content(&EXTENSION_OID, envelope.encode())];
    let thief = copied.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let refusal = world.authenticator.authenticate(Some(thief.der()), unix_now()).await.unwrap_err();
    assert_eq!(refusal, Refusal::WrongKey);
}

#[tokio::test]
async fn clocks_may_differ_by_two_minutes() {
    let world = world();
    let start = 1_800_000_000;
    let identity = signed_at(&world.owner, &request(), start).await;
    let mut results = Vec::new();
    for now in [start - 121, start - 120, start, start + 3_600 + 120, start + 3_600 + 121] {
        let result = world.try_at(&identity, LEASE, Need::Read, now).await;
        results.push(result.map_err(|refusal| refusal.code()));
    }
    assert_eq!(results, [Err("not_yet_valid"), Ok(()), Ok(()), Ok(()), Err("expired")]);

    let long = IdentityRequest { lifetime: 25 * HOUR, ..request() };
    let long = ClientIdentity::issue(&world.owner, &long).await.unwrap();
    assert_eq!(world.code(&long, LEASE, Need::Read).await, "too_long");
}

#[tokio::test]
async fn delegates_may_what_they_were_granted() {
    let world = world();
    let delegate = PrivateKeySigner::random();
    world.access.delegate(WALLET, delegate.address(), Some(false));
    let identity = ClientIdentity::issue(&delegate, &request()).await.unwrap();
    assert_eq!(world.code(&identity, LEASE, Need::Read).await, "ok");
    assert_eq!(world.code(&identity, LEASE, Need::Write).await, "read_only");
    world.access.delegate(WALLET, delegate.address(), Some(true));
    assert_eq!(world.code(&identity, LEASE, Need::Write).await, "ok");
    // An owner who signs for reading only gives no more away.
    let reader =
        ClientIdentity::issue(&world.owner, &IdentityRequest { write: false, ..request() }).await.unwrap();
    assert_eq!(world.code(&reader, LEASE, Need::Write).await, "read_only");
}

#[tokio::test]
async fn revocation_transfer_and_close_take_the_right_away() {
    let world = world();
    let identity = ClientIdentity::issue(&world.owner, &request()).await.unwrap();
    world.access.lease(LEASE.0, WALLET, false);
    assert_eq!(world.code(&identity, LEASE, Need::Write).await, "lease_closed");
    assert_eq!(world.code(&identity, LEASE, Need::Read).await, "ok");
    world.access.revoke(WALLET);
    assert_eq!(world.code(&identity, LEASE, Need::Read).await, "revoked");
    world.access.transfer(WALLET, Address::repeat_byte(1));
    assert_eq!(world.code(&identity, LEASE, Need::Read).await, "not_allowed");
    world.access.down(true);
    assert_eq!(world.code(&identity, LEASE, Need::Read).await, "chain_unreachable");
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_wallets_answer_for_themselves_and_in_time() {
    let world = world();
    let contract = Address::repeat_byte(0xcc);
    world.access.transfer(WALLET, contract);
    let unsigned = UnsignedIdentity::new(&request(), contract).unwrap();
    let hash = unsigned.signing_hash();
    let identity = unsigned.finish(Bytes::from_static(b"whatever the contract accepts")).unwrap();
    assert_eq!(world.code(&identity, LEASE, Need::Read).await, "bad_signature");
    world.access.contract_signs(contract, hash);
    assert_eq!(world.code(&identity, LEASE, Need::Write).await, "ok");
    world.access.slow_wallets();
    assert_eq!(world.code(&identity, LEASE, Need::Read).await, "wallet_timeout");
}

#[tokio::test]
async fn a_session_ends_when_its_right_ends_and_not_when_the_chain_is_silent() {
    for (end, code) in [("transfer", "not_allowed"), ("revoke", "revoked"), ("close", "lease_closed")] {
        let world = world();
        let identity = ClientIdentity::issue(&world.owner, &request()).await.unwrap();
        let caller =
            world.authenticator.authenticate(Some(identity.certificate()), unix_now()).await.unwrap();
        let mut session = world.authenticator.session(&caller, LEASE, Need::Write).await.unwrap();

        let soon = Duration::from_millis(200);
        world.access.down(true);
        assert!(
            tokio::time::timeout(soon, session.ended()).await.is_err(),
            "the chain's silence ends nothing"
        );
        world.access.down(false);
        world.access.lease(11, WALLET, false);
        assert!(
            tokio::time::timeout(soon, session.ended()).await.is_err(),
            "another lease's end ends nothing"
        );

        match end {
            "transfer" => world.access.transfer(WALLET, Address::repeat_byte(1)),
            "revoke" => world.access.revoke(WALLET),
            _ => world.access.lease(LEASE.0, WALLET, false),
        }
        let refusal = tokio::time::timeout(Duration::from_secs(5), session.ended()).await.unwrap();
        assert_eq!(refusal.code(), code);
    }
}

#[tokio::test]
async fn a_cached_identity_is_used_until_it_no_longer_serves() {
    let world = world();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wallet-1.pem");
    let first = ClientIdentity::cached(&path, &world.owner, &request()).await.unwrap();
    let again = ClientIdentity::cached(&path, &world.owner, &request()).await.unwrap();
    assert_eq!(first.certificate(), again.certificate());
    let reading = IdentityRequest { write: false, lease: Some(LEASE), ..request() };
    let narrower = ClientIdentity::cached(&path, &world.owner, &reading).await.unwrap();
    assert_eq!(first.certificate(), narrower.certificate());

    let next_nonce = IdentityRequest { nonce: 1, ..request() };
    let fresh = ClientIdentity::cached(&path, &world.owner, &next_nonce).await.unwrap();
    assert_ne!(first.certificate(), fresh.certificate());
    assert!(!fresh.serves(&next_nonce, world.owner.address(), unix_now() + 3_500));
    assert!(!fresh.serves(&next_nonce, Address::ZERO, unix_now()));

    std::fs::write(&path, "damaged").unwrap();
    ClientIdentity::cached(&path, &world.owner, &request()).await.unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

/// Damage anywhere in a real certificate is either refused or changes nothing that counts, and never panics.
#[tokio::test]
async fn damaged_certificates_never_panic_and_gain_nothing() {
    let world = world();
    let identity = ClientIdentity::issue(&world.owner, &request()).await.unwrap();
    let good = identity.certificate().to_vec();
    let now = unix_now();
    for at in 0..good.len() {
        for damage in [0x01, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] ^= damage;
            if let Ok(caller) = world.authenticator.authenticate(Some(&bytes), now).await {
                assert_eq!(caller.authorisation(), identity.authorisation());
            }
        }
        assert!(world.authenticator.authenticate(Some(&good[..at]), now).await.is_err());
    }
    let large = vec![0x30; 17 * 1024];
    assert_eq!(
        world.authenticator.authenticate(Some(&large), now).await.unwrap_err().code(),
        "bad_certificate"
    );
}
