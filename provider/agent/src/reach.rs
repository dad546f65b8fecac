//! Whether addresses answer from here: a provider's ports as another machine sees them.

use std::time::Duration;

use anyhow::{Result, ensure};
use iono_hardware::Reach;
use tokio::net::TcpStream;

/// An address that takes longer to take a connection does not answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most addresses: each costs a connection a minute.
const MOST: usize = 16;

/// # Errors
/// When there are too many, or one is none.
pub(crate) fn refuse_malformed(addresses: &[String]) -> Result<()> {
    ensure!(addresses.len() <= MOST, "--reach names {} addresses, at most {MOST} are tried", addresses.len());
    for address in addresses {
        let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
        let is_port = port.and_then(|port| port.parse::<u16>().ok()).is_some_and(|port| port > 0);
        ensure!(is_port, "--reach {address} is no address; write host:port");
    }
    Ok(())
}

/// Tries all of them side by side.
pub(crate) async fn all(addresses: &[String]) -> Vec<Reach> {
    futures::future::join_all(addresses.iter().map(|address| one(address))).await
}

async fn one(address: &str) -> Reach {
    let problem = match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no answer within {} s", PATIENCE.as_secs())),
    };
    Reach { address: address.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_listens_is_reached_and_what_does_not_is_not() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap().to_string();
        let closed = "127.0.0.1:1".to_owned();
        let found = all(&[open, closed]).await;
        assert_eq!(found[0].problem, None);
        assert!(found[1].problem.as_ref().unwrap().contains("refused"), "{found:?}");
    }

    #[test]
    fn only_addresses_are_taken() {
        let refused = |text: &str| refuse_malformed(&[text.to_owned()]).is_err();
        assert!(refused("host") && refused(":80") && refused("host:0") && refused("host:70000"));
        assert!(!refused("host:80") && !refused("[::1]:80"));
        assert!(refuse_malformed(&vec!["a:1".to_owned(); MOST + 1]).is_err());
    }
}
