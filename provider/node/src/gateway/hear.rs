//! What light nodes do and say: they come, go, offer, answer, name their ways and ask for changes on chain.

use std::sync::Arc;

use bytes::Bytes;
use iono_host::subnet::{FromGateway, FromNode, HTTP, VERSION};
use iono_identity::{Pin, unix_now};
use iono_primitives::FizzId;
use iono_tunnel::Event;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::Gateway;
use super::member::Member;

impl Gateway {
    /// Handles the tunnel's events until it or the daemon ends.
    pub(super) async fn hear(self: Arc<Self>, mut events: mpsc::Receiver<Event>) {
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = self.token.cancelled() => return,
            };
            match event {
                // Who it is comes with its first message.
                Some(Event::Joined { .. }) => {}
                Some(Event::Lost { pin, silence }) => self.lost(pin, silence.as_secs()),
                Some(Event::Message { pin, bytes }) => self.heard(pin, &bytes).await,
                None => return,
            }
            metrics::gauge!("iono_provider_light_nodes").set(self.present() as f64);
        }
    }

    fn present(&self) -> usize {
        self.members().values().filter(|member| member.lost.is_none()).count()
    }

    /// A light node dropped off: its leases let nobody in from the next look on, and are paused if it stays away.
    fn lost(&self, pin: Pin, silence: u64) {
        let mut members = self.members();
        for member in members.values_mut().filter(|member| member.pin == pin && member.lost.is_none()) {
            member.lost = Some(unix_now().saturating_sub(silence));
        }
    }

    async fn heard(self: &Arc<Self>, pin: Pin, bytes: &Bytes) {
        let word = match serde_json::from_slice::<FromNode>(bytes) {
            Ok(word) => word,
            Err(error) => {
                tracing::debug!(%pin, %error, "a light node said what is not understood");
                return;
            }
        };
        if let FromNode::Hello { version, fizz, software } = word {
            return self.hello(pin, version, fizz, software).await;
        }
        let known = self.members().iter().find(|(_, member)| member.pin == pin).map(|(fizz, _)| *fizz);
        let Some(fizz) = known else {
            tracing::debug!(%pin, "a light node speaks before it has said who it is");
            return;
        };
        match word {
            FromNode::Hello { .. } => {}
            FromNode::Offer(offer) => {
                self.change(fizz, |member| member.offer = offer);
                self.asks.offers.notify_waiters();
                self.node.orders_changed.notify_one();
            }
            FromNode::Answer { order, answer } => self.asks.answered(order, fizz, answer),
            FromNode::Route { lease, revision, of, at, way } => {
                if self.route(fizz, lease, revision, (at, of), way) {
                    let gateway = Arc::clone(self);
                    self.tasks.spawn(async move { gateway.open(fizz, lease).await });
                }
            }
            FromNode::Act { call, lease, change } => {
                let gateway = Arc::clone(self);
                self.tasks.spawn(async move { gateway.act(fizz, pin, call, lease, change).await });
            }
            FromNode::Sign { call, offer } => {
                let gateway = Arc::clone(self);
                self.tasks.spawn(async move { gateway.sign(fizz, pin, call, offer).await });
            }
        }
    }

    pub(super) fn change(&self, fizz: FizzId, change: impl FnOnce(&mut Member)) {
        if let Some(member) = self.members().get_mut(&fizz) {
            change(member);
        }
    }

    /// A light node says which one it is. Keys are not unique in the registry, so the number is looked up and the key
    /// compared.
    async fn hello(&self, pin: Pin, version: u16, fizz: FizzId, software: String) {
        let refuse = |why: String| {
            tracing::warn!(%pin, %fizz, why, "a light node is refused");
            self.say(pin, &FromGateway::Refused { why });
        };
        if version != VERSION {
            return refuse(format!(
                "this gateway speaks version {VERSION} of the subnet's words, not {version}"
            ));
        }
        if self.roll.find(fizz, pin).is_none() {
            let provider = self.node.me.provider;
            return refuse(format!(
                "the registry has no light node {fizz} of provider {provider} with this key"
            ));
        }
        let software: String = software.chars().filter(|letter| !letter.is_control()).take(64).collect();
        let known = self.members().get(&fizz).is_some_and(|member| member.pin == pin);
        if !known {
            let opened = async {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
                let session = self.tunnel.expect(pin);
                self.tunnel.expose_to_proxy(session, listener, HTTP).map_err(std::io::Error::other)
            };
            match opened.await {
                // Ports of another key lead nowhere any more.
                Ok(http) => drop(self.members().insert(fizz, Member::new(pin, software.clone(), http))),
                Err(error) => return refuse(format!("the gateway cannot open a port: {error}")),
            }
        }
        self.change(fizz, |member| {
            (member.software, member.lost) = (software, None);
            // It says all of it again.
            member.leases.values_mut().for_each(|ways| ways.revision = 0);
        });
        let public = self.node.config().public.clone();
        let provider = self.node.me.provider;
        tracing::info!(%fizz, %pin, "light node is back");
        self.say(pin, &FromGateway::Welcome { provider, endpoint: public.endpoint, domain: public.domain });
    }
}
