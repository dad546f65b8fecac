//! From a peer's certificate to a caller with rights, one check after the other; and from a caller to a lease.

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes, Signature};
use iono_primitives::{LeaseId, WalletId};

use crate::authorisation::Envelope;
use crate::client::LIFETIME;
use crate::{Access, Authorisation, Domain, Refusal, Session};

/// What a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Status, logs, events: allowed to read-only delegates and after the lease closed.
    Read,
    /// All that changes the lease, runs in it or shows secrets; only while the lease is open.
    Write,
}

/// Somebody whose authorisation was checked for this request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The granted authorisation.
    authorisation: Authorisation,
    /// Owner, or delegate with write access, and granted.
    write: bool,
    proof: Arc<Proof>,
}

/// What must be checked again later.
#[derive(Debug)]
struct Proof {
    hash: B256,
    /// Set for contract wallets, whose word may change.
    contract_signature: Option<Bytes>,
}

impl Caller {
    /// The escrow wallet that the caller acts for; rate limits and the audit trail go by it.
    #[must_use]
    pub fn wallet(&self) -> WalletId {
        self.authorisation.wallet
    }

    /// The account that signed: the wallet's owner or a delegate.
    #[must_use]
    pub fn account(&self) -> Address {
        self.authorisation.account
    }

    /// Whether more than reading is allowed.
    #[must_use]
    pub fn may_write(&self) -> bool {
        self.write
    }

    /// What was signed.
    #[must_use]
    pub fn authorisation(&self) -> &Authorisation {
        &self.authorisation
    }
}

/// A certificate that passed every check that needs no chain. Costs an ECDSA recovery, so a server keeps it for the
/// connection and asks [`Authenticator::admit`] per request.
#[derive(Debug, Clone)]
pub struct Claim {
    authorisation: Authorisation,
    hash: B256,
    signature: Bytes,
    recovered: bool,
}

/// The checks of one provider: its deployment, its view of the chain and its limits.
#[derive(Clone)]
pub struct Authenticator {
    domain: Domain,
    access: Arc<dyn Access>,
    max_lifetime: Duration,
    skew: Duration,
    wallet_timeout: Duration,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").field("domain", &self.domain).finish_non_exhaustive()
    }
}

impl Authenticator {
    /// Lifetimes up to 24 hours, two minutes between the clocks, three seconds for contract wallets.
    #[must_use]
    pub fn new(domain: Domain, access: Arc<dyn Access>) -> Self {
        Self {
            domain,
            access,
            max_lifetime: LIFETIME,
            skew: Duration::from_secs(120),
            wallet_timeout: Duration::from_secs(3),
        }
    }

    /// Accepts authorisations of at most this lifetime.
    #[must_use]
    pub fn with_max_lifetime(mut self, limit: Duration) -> Self {
        self.max_lifetime = limit;
        self
    }

    /// The chain as this provider sees it.
    #[must_use]
    pub fn access(&self) -> &Arc<dyn Access> {
        &self.access
    }

    /// All checks of a peer's certificate (DER), at unix time `now`.
    ///
    /// # Errors
    /// The [`Refusal`] of the first check that failed.
    pub async fn authenticate(&self, certificate: Option<&[u8]>, now: u64) -> Result<Caller, Refusal> {
        self.admit(&self.examine(certificate)?, now).await
    }

    /// The checks that need neither chain nor clock: shape, chain id, registry, key, lifetime; recovers the signer.
    ///
    /// # Errors
    /// The [`Refusal`] of the first check that failed.
    pub fn examine(&self, certificate: Option<&[u8]>) -> Result<Claim, Refusal> {
        let (envelope, pin) = Envelope::from_certificate(certificate.ok_or(Refusal::NoCertificate)?)?;
        let Envelope { domain, authorisation, signature } = envelope;
        if domain.chain_id != self.domain.chain_id {
            return Err(Refusal::WrongChain { theirs: domain.chain_id, ours: self.domain.chain_id });
        }
        if domain.lease_access != self.domain.lease_access {
            return Err(Refusal::WrongRegistry {
                theirs: domain.lease_access,
                ours: self.domain.lease_access,
            });
        }
        if authorisation.spki != pin {
            return Err(Refusal::WrongKey);
        }
        let lifetime = authorisation.expiry.saturating_sub(authorisation.not_before);
        let limit = self.max_lifetime.as_secs();
        if lifetime > limit {
            return Err(Refusal::TooLong { lifetime, limit });
        }
        let hash = authorisation.signing_hash(&domain);
        let recovered = Signature::from_raw(&signature)
            .and_then(|signature| signature.recover_address_from_prehash(&hash))
            .is_ok_and(|signer| signer == authorisation.account);
        Ok(Claim { authorisation, hash, signature, recovered })
    }

    /// The checks that change with time: validity at unix time `now`, revocation nonce, owner or delegate, and a
    /// contract wallet's word.
    ///
    /// # Errors
    /// The [`Refusal`] of the first check that failed; [`Refusal::is_transient`] when the chain did not answer.
    pub async fn admit(&self, claim: &Claim, now: u64) -> Result<Caller, Refusal> {
        self.check_time(&claim.authorisation, now)?;
        let contract_signature = (!claim.recovered).then(|| claim.signature.clone());
        let proof = Proof { hash: claim.hash, contract_signature };
        let write = self.check_chain(&claim.authorisation, &proof).await?;
        Ok(Caller { authorisation: claim.authorisation, write, proof: Arc::new(proof) })
    }

    /// Whether `caller` may do to `lease` what needs `need`.
    ///
    /// # Errors
    /// The [`Refusal`] of the first check that failed.
    pub async fn authorise(&self, caller: &Caller, lease: LeaseId, need: Need) -> Result<(), Refusal> {
        let granted = &caller.authorisation;
        if let Some(theirs) = granted.lease
            && theirs != lease
        {
            return Err(Refusal::WrongLease { theirs, asked: lease });
        }
        let party = self.access.lease(lease).await.map_err(|e| Refusal::Unreachable(e.0))?;
        let party = party.ok_or(Refusal::UnknownLease(lease))?;
        if party.wallet != granted.wallet {
            return Err(Refusal::ForeignLease { lease, wallet: granted.wallet });
        }
        match need {
            Need::Write if !caller.write => Err(Refusal::ReadOnly { account: granted.account }),
            Need::Write if !party.open => Err(Refusal::LeaseClosed(lease)),
            Need::Read | Need::Write => Ok(()),
        }
    }

    /// Authorises a shell or stream that is checked again while it is open.
    ///
    /// # Errors
    /// As [`Self::authorise`].
    pub async fn session(&self, caller: &Caller, lease: LeaseId, need: Need) -> Result<Session, Refusal> {
        // Subscribed before the check, so that nothing is missed in between.
        let changes = self.access.changes();
        self.authorise(caller, lease, need).await?;
        Ok(Session::watch(self.clone(), caller.clone(), lease, need, changes))
    }

    /// Checks everything that may have changed since `caller` was admitted.
    pub(crate) async fn check_again(
        &self,
        caller: &Caller,
        lease: LeaseId,
        need: Need,
        now: u64,
    ) -> Result<(), Refusal> {
        self.check_time(&caller.authorisation, now)?;
        let write = self.check_chain(&caller.authorisation, &caller.proof).await?;
        self.authorise(&Caller { write, ..caller.clone() }, lease, need).await
    }

    /// Seconds until the authorisation ends, the grace for clocks included.
    pub(crate) fn time_left(&self, caller: &Caller, now: u64) -> Duration {
        (Duration::from_secs(caller.authorisation.expiry) + self.skew)
            .saturating_sub(Duration::from_secs(now))
    }

    fn check_time(&self, granted: &Authorisation, now: u64) -> Result<(), Refusal> {
        let skew = self.skew.as_secs();
        if granted.not_before > now.saturating_add(skew) {
            return Err(Refusal::NotYetValid { not_before: granted.not_before, now });
        }
        if granted.expiry.saturating_add(skew) < now {
            return Err(Refusal::Expired { expiry: granted.expiry, now });
        }
        Ok(())
    }

    /// Owner or delegate, nonce, contract signature. Returns whether writing is allowed.
    async fn check_chain(&self, granted: &Authorisation, proof: &Proof) -> Result<bool, Refusal> {
        let Authorisation { wallet, account, .. } = *granted;
        let rights = self.access.rights(wallet, account).await.map_err(|e| Refusal::Unreachable(e.0))?;
        if !rights.read && !rights.write {
            return Err(Refusal::NotAllowed { account, wallet });
        }
        if let Some(signature) = &proof.contract_signature {
            // Only now, so that a stranger cannot make this provider call a contract of his choice.
            let answer = self.access.is_valid_signature(account, proof.hash, signature);
            let valid = tokio::time::timeout(self.wallet_timeout, answer)
                .await
                .map_err(|_| Refusal::SlowWallet { account })?
                .map_err(|e| Refusal::Unreachable(e.0))?;
            if !valid {
                return Err(Refusal::BadSignature { account });
            }
        }
        if rights.nonce != granted.nonce {
            return Err(Refusal::Revoked { wallet, theirs: granted.nonce, ours: rights.nonce });
        }
        Ok(granted.write && rights.write)
    }
}
