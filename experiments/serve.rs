//! `dni serve`: this machine's device for workers of other machines, on burn's remote backend.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::Args;

use crate::args::{BackendChoice, Misuse, threads};
use crate::token::TokenArgs;

/// Flags of `dni serve`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without --identity the connection (ws://) is not encrypted: anyone who can \
                  observe the traffic can read the token and the tensors. With it the connection (iroh://) is \
                  encrypted, over UDP, and clients know the server by its key."
)]
pub struct ServeArgs {
    /// The backend to serve
    #[arg(long, value_enum, default_value = "flex")]
    backend: BackendChoice,

    /// Address to listen on, an IP address or a host name with a port; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000", value_parser = address)]
    listen: SocketAddr,

    /// File with the key by which clients know this server, made if it is missing; encrypts the
    /// connection
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,

    #[command(flatten)]
    token: TokenArgs,

    /// Serve every program on this machine, without a token
    #[arg(long)]
    insecure: bool,

    /// Threads that one tensor operation may use on the CPU backends [default: one for each core]
    #[arg(long, value_name = "N", value_parser = threads)]
    kernel_threads: Option<usize>,
}

/// An address of this machine. Of a name that has several the first of the older kind is taken, as
/// clients without the newer one can reach it.
fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = |reason: String| format!("{reason}; write HOST:PORT, as in localhost:3000");
    let found = text
        .to_socket_addrs()
        .map_err(|error| wrong(error.to_string()))?;
    let found: Vec<SocketAddr> = found.collect();
    let older = found.iter().find(|address| address.is_ipv4());
    let address = older.or(found.first()).copied();
    address.ok_or_else(|| wrong("it has no address".to_string()))
}

/// `dni serve`.
pub fn run(args: ServeArgs) -> anyhow::Result<()> {
    let token = args.token.read()?;
    args.check(token.is_some())?;
    host::serve(&args, token)
}

impl ServeArgs {
    /// Refuses to serve whoever comes along, unless that is wished and they are on this machine.
    fn check(&self, has_token: bool) -> Result<(), Misuse> {
        let reason = match (has_token, self.insecure) {
            (true, true) => "with --insecure there is no token; leave out one of them",
            (true, false) => return Ok(()),
            (false, false) => {
                "without a token everybody could compute here; give one by --token-file or \
                 DNI_TOKEN, or serve everybody on this machine with --insecure"
            }
            (false, true) if !self.listen.ip().is_loopback() => {
                "--insecure is for this machine alone; listen on 127.0.0.1, or give a token by \
                 --token-file or DNI_TOKEN"
            }
            (false, true) => return Ok(()),
        };
        Err(Misuse(reason.to_string()))
    }
}

#[cfg(not(feature = "remote"))]
mod host {
    use dni::place::Token;

    use super::{Misuse, ServeArgs};

    pub fn serve(_args: &ServeArgs, _token: Option<Token>) -> anyhow::Result<()> {
        let reason = "this build cannot serve; build it with: cargo build --features remote";
        Err(Misuse(reason.to_string()).into())
    }
}

#[cfg(feature = "remote")]
mod host {
    use std::net::TcpListener;
    use std::path::Path;
    use std::sync::mpsc;

    use anyhow::Context;
    use burn::server::{
        AllowAll, AuthorizationRequest, BURN_REMOTE_ALPN, IrohIdentity, PeerAuthorizer,
        RemoteServer, TokenAuthorizer, WebSocketTransport,
    };
    use dni::place::{Address, Token};
    use iroh::endpoint::presets;
    use iroh::protocol::Router;
    use iroh::{Endpoint, RelayMode, SecretKey};

    use super::ServeArgs;
    use crate::{output, signals};

    /// Serves until Ctrl-C or SIGTERM.
    pub fn serve(args: &ServeArgs, token: Option<Token>) -> anyhow::Result<()> {
        // burn's messages would go to stdout.
        // SAFETY: the program has started no other thread yet that could read the environment.
        unsafe { std::env::set_var("RUST_LOG", "off") };
        if let Some(threads) = args.kernel_threads {
            dni::backend::set_shared_kernel_threads(threads)?;
        }
        let backend = args.backend.resolve();
        let device = backend.device()?;
        let server = RemoteServer::new([device]);
        let server = match token {
            Some(token) => server.with_authorizer(spoken(TokenAuthorizer::new(token.reveal())?)),
            None => server.with_authorizer(spoken(AllowAll)),
        };
        let told = |address: &str| output::print(&format!("serving {backend} on {address}\n"));
        match &args.identity {
            Some(identity) => serve_encrypted(args, identity, server, told),
            None => serve_plain(args, &server, told),
        }
    }

    fn serve_plain(
        args: &ServeArgs,
        server: &RemoteServer,
        tell: impl Fn(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let cannot = || format!("cannot listen on {}", args.listen);
        let listener = TcpListener::bind(args.listen).with_context(cannot)?;
        let address = listener.local_addr().with_context(cannot)?;
        tell(&format!("ws://{address}"))?;
        server.serve(WebSocketTransport::from_listener(listener))?;
        Ok(())
    }

    /// Over Iroh, on this address alone and with nobody's help.
    fn serve_encrypted(
        args: &ServeArgs,
        identity: &Path,
        server: RemoteServer,
        tell: impl Fn(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let path = identity.display();
        let identity = IrohIdentity::load_or_create(identity)
            .with_context(|| format!("cannot use the identity in '{path}'"))?;
        // Before anything is served, so that a signal finds its way from the beginning.
        let (signal, stopped) = mpsc::channel();
        signals::listen(move || {
            // Nobody listens any more if it ends already.
            let _ = signal.send(());
        })?;
        let cannot = || format!("cannot listen on {} (UDP)", args.listen);
        let runtime = tokio::runtime::Runtime::new()?;
        let router = runtime.block_on(async {
            let endpoint = Endpoint::builder(presets::Minimal)
                .relay_mode(RelayMode::Disabled)
                .secret_key(SecretKey::from_bytes(&identity.to_bytes()))
                .clear_ip_transports()
                .bind_addr(args.listen)
                .with_context(cannot)?;
            let endpoint = endpoint.bind().await.with_context(cannot)?;
            let protocol = server.into_protocol(&endpoint)?;
            let router = Router::builder(endpoint).accept(BURN_REMOTE_ALPN, protocol);
            anyhow::Ok(router.spawn())
        })?;
        let bound = router.endpoint().bound_sockets();
        let socket = bound.first().context("nothing was bound")?;
        let key = router.endpoint().id().to_string();
        tell(&Address::encrypted(&key, *socket)?.to_string())?;
        // Whatever comes, it is time to end.
        let _ = stopped.recv();
        runtime.block_on(router.shutdown())?;
        Ok(())
    }

    /// An authorizer that says on stderr who came.
    fn spoken(authorizer: impl PeerAuthorizer) -> impl PeerAuthorizer {
        move |request: AuthorizationRequest<'_>| {
            let client = request.client;
            let answer = authorizer.authorize(request);
            output::say(&match &answer {
                Ok(()) => format!("{client} computes here"),
                Err(reason) => format!("refused: {reason}"),
            });
            answer
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_be_names() {
        for (text, expected) in [
            ("localhost:3000", "127.0.0.1:3000"),
            ("10.0.0.2:0", "10.0.0.2:0"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(address(text), Ok(expected.parse().unwrap()), "{text}");
        }
        for text in ["localhost", "3000", "localhost:", "localhost:99999"] {
            assert!(
                address(text).is_err_and(|e| e.contains("HOST:PORT")),
                "{text}"
            );
        }
    }
}
