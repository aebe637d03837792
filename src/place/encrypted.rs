//! An encrypted connection to a server: burn's client over Iroh, from an endpoint of this process's
//! own.
//!
//! A connection of that endpoint asks for a sign of life from time to time, and ends when there is
//! none, so that no read waits for ever. No third machine takes part: the two find each other by
//! the address alone, and the server shows that it has the key which the address names.

use std::io;
use std::sync::{Arc, LazyLock, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use burn::remote::IrohHost;
use burn::server::BURN_REMOTE_ALPN;
use iroh::endpoint::{
    AfterHandshakeOutcome, Closed, Connection, ConnectionError, EndpointHooks, IdleTimeout,
    QuicTransportConfig, presets,
};
use iroh::{Endpoint, EndpointAddr, EndpointId, RelayMode};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::Address;
use super::relay::{BETWEEN_SIGNS, CLOSED, TO_ANSWER, TO_CONNECT, no_sign_of_life, peers_at};
use super::remote::Line;

/// How long the news of a connection's end may be later than the panic of who used it.
const FOR_THE_NEWS: Duration = Duration::from_secs(1);

/// Where the endpoints of this process run.
static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("dni iroh")
        .enable_all()
        .build()
});

/// Why the connections of an endpoint have ended.
#[derive(Debug, Clone, Default)]
struct Watch(Arc<OnceLock<String>>);

impl EndpointHooks for Watch {
    async fn after_handshake<'a>(&'a self, connection: &'a Connection) -> AfterHandshakeOutcome {
        let (closed, cut) = (connection.weak_handle().closed(), Arc::clone(&self.0));
        tokio::spawn(async move {
            if let Some(reason) = closed.await.and_then(why_closed) {
                // The first reason stays.
                let _ = cut.set(reason);
            }
        });
        AfterHandshakeOutcome::accept()
    }
}

impl Line for Watch {
    fn why_cut(&self) -> Option<&str> {
        let start = Instant::now();
        while self.0.get().is_none() && thread::panicking() && start.elapsed() < FOR_THE_NEWS {
            thread::sleep(FOR_THE_NEWS / 100);
        }
        self.0.get().map(String::as_str)
    }
}

/// Why a connection has ended, unless it was this side that ended it.
fn why_closed(closed: Closed) -> Option<String> {
    match closed.reason {
        ConnectionError::LocallyClosed => None,
        ConnectionError::TimedOut => Some(no_sign_of_life()),
        ConnectionError::ApplicationClosed(_) | ConnectionError::Reset => Some(CLOSED.to_string()),
        error => Some(format!(
            "the connection to the server broke ({error}); it may have died"
        )),
    }
}

/// A server that is there and has the key, to be dialled from an endpoint of its own, and the watch
/// over what burn opens there.
///
/// # Errors
///
/// If the server cannot be reached or does not answer, with the reason.
pub(super) fn dial(address: &Address, key: &str) -> Result<(IrohHost, Arc<dyn Line>), String> {
    let key: EndpointId = key
        .parse()
        .map_err(|_| "its key is not valid".to_string())?;
    let server = peers_at(address)?.fold(EndpointAddr::new(key), EndpointAddr::with_ip_addr);
    let runtime = RUNTIME.as_ref();
    let runtime = runtime.map_err(|error| format!("the connection cannot be set up: {error}"))?;
    runtime.block_on(async {
        let watch = Watch::default();
        let endpoint = endpoint(watch.clone()).await?;
        sign_of_life(&endpoint, server.clone()).await?;
        let host = IrohHost::new(server).with_endpoint(endpoint);
        let watch: Arc<dyn Line> = Arc::new(watch);
        Ok((host, watch))
    })
}

/// An endpoint whose connections end when there is no sign of life.
async fn endpoint(watch: Watch) -> Result<Endpoint, String> {
    let most_idle = IdleTimeout::try_from(TO_ANSWER).expect("it is a matter of seconds");
    let transport = QuicTransportConfig::builder()
        .max_idle_timeout(Some(most_idle))
        .keep_alive_interval(BETWEEN_SIGNS)
        // Some networks lose what is sent in one go.
        .enable_segmentation_offload(false)
        .build();
    let builder = Endpoint::builder(presets::Minimal)
        .relay_mode(RelayMode::Disabled)
        .transport_config(transport)
        .hooks(watch);
    let bound = builder.bind().await;
    bound.map_err(|error| format!("the connection cannot be set up: {error}"))
}

/// Opens a connection and closes it again.
async fn sign_of_life(endpoint: &Endpoint, server: EndpointAddr) -> Result<(), String> {
    match timeout(TO_CONNECT, endpoint.connect(server, BURN_REMOTE_ALPN)).await {
        Ok(Ok(connection)) => {
            connection.close(0_u32.into(), b"");
            Ok(())
        }
        Ok(Err(error)) => Err(format!("it cannot be reached ({error})")),
        Err(_) => Err(format!(
            "nobody with its key answers there within {} s; start `dni serve --identity` on that \
             machine, or check key, host, port (of UDP) and firewalls",
            TO_CONNECT.as_secs()
        )),
    }
}
