//! HTTPS as visitors of a tenant's service see it: served and announced under the names that a certificate covers, plain
//! HTTP under all others; renewed files are used without a restart.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::io::Write as _;
use std::path::Path;

use common::{Market, SOON};
use iono_provider_testkit::hello;
use iono_testkit::{docker, eventually, free_port};

/// Writes a new certificate for `name` as `stem.crt` and `stem.key`; gives it in PEM.
fn certify(folder: &Path, stem: &str, name: &str) -> String {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    std::fs::write(folder.join(format!("{stem}.crt")), made.cert.pem()).unwrap();
    std::fs::write(folder.join(format!("{stem}.key")), made.signing_key.serialize_pem()).unwrap();
    made.cert.pem()
}

/// What a visitor who trusts these certificates alone gets at `url`, whose host is this machine.
async fn visit(url: &str, trusted: &[&str]) -> Result<String, reqwest::Error> {
    let host = url.split("://").nth(1).unwrap().split([':', '/']).next().unwrap();
    let roots = trusted.iter().map(|pem| reqwest::Certificate::from_pem(pem.as_bytes()).unwrap());
    let client = reqwest::Client::builder().resolve(host, ([127, 0, 0, 1], 0).into()).tls_certs_only(roots);
    client.build()?.get(url).send().await?.error_for_status()?.text().await
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_promised_where_a_certificate_covers_the_name() {
    let mut market = Market::open().await;
    let (folder, https) = (market.dir.clone(), free_port().unwrap());
    let own = certify(&folder, "own", "*.apps.localhost");
    let shop = certify(&folder, "shop", "shop.example");
    let at = folder.display();
    market.set = vec![
        format!("listen.https=127.0.0.1:{https}"),
        format!("public.certificate={at}/own.crt"),
        format!("public.certificate_key={at}/own.key"),
    ];
    let mut config = std::fs::OpenOptions::new().append(true).open(&market.config).unwrap();
    let table =
        format!("[[certificate]]\nhost = 'shop.example'\nchain = '{at}/shop.crt'\nkey = '{at}/shop.key'\n");
    config.write_all(table.as_bytes()).unwrap();
    let _daemon = market.start().await;
    let mut manifest = hello("secure", 1, docker::HELLO);
    manifest.services[0].expose[0].accept = ["plain.example", "shop.example"].map(str::to_owned).to_vec();
    let ordered = market.order_manifest("secure", manifest).await;
    market.activate(&ordered).await;
    market.serve(&ordered).await;

    let (lease, client) = (ordered.lease, market.client().await);
    let urls = client.status(lease).await.unwrap().services[0].urls.clone();
    let expected = [
        format!("https://web-{lease}.apps.localhost:{https}/"),
        format!("http://plain.example:{}/", market.http),
        format!("https://shop.example:{https}/"),
    ];
    assert_eq!(urls, expected);
    for url in &urls {
        let body = visit(url, &[&own, &shop]).await.unwrap();
        assert!(body.contains("secure"), "{url}: {body}");
    }
    // Each name is shown its own certificate, and the one without any is not served as if it had one.
    assert!(visit(&urls[0], &[&shop]).await.is_err());
    assert!(visit(&urls[2], &[&own]).await.is_err());
    assert!(visit(&format!("https://plain.example:{https}/"), &[&own, &shop]).await.is_err());

    // Renewed files are taken by themselves.
    let renewed = certify(&folder, "shop", "shop.example");
    eventually("the renewed certificate", SOON, || async { visit(&urls[2], &[&renewed]).await.ok() })
        .await
        .unwrap();
    assert!(visit(&urls[2], &[&shop]).await.is_err());

    // A broken one is complained about, and the one before goes on.
    std::fs::write(folder.join("shop.crt"), "nonsense").unwrap();
    market.until_red("shop.example").await;
    assert!(visit(&urls[2], &[&renewed]).await.is_ok());
    certify(&folder, "shop", "shop.example");
    market.until_green().await;
    market.close_and_empty(lease).await;
}
