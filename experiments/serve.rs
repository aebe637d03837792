//! `dni serve`: this machine's device for workers of other machines, on burn's remote backend.

use std::net::SocketAddr;

use clap::Args;

use crate::args::{BackendChoice, Misuse, positive};
use crate::token::TokenArgs;

/// Flags of `dni serve`.
#[derive(Debug, Args)]
#[command(
    after_help = "The connection (ws://) is not encrypted: whoever can read the network can read \
                  the token and the tensors. Between machines that share no trusted network, let \
                  it listen on loopback and lead there through a tunnel, such as ssh -L \
                  3000:127.0.0.1:3000."
)]
pub struct ServeArgs {
    /// What is served
    #[arg(long, value_enum, default_value = "flex")]
    backend: BackendChoice,

    /// Address to listen on; port 0 is any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,

    #[command(flatten)]
    token: TokenArgs,

    /// Serve everybody on this machine, without a token
    #[arg(long)]
    insecure: bool,

    /// Threads of one operation on the CPU backends [default: one for each core]
    #[arg(long, value_name = "N", value_parser = positive)]
    kernel_threads: Option<usize>,
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

    use anyhow::Context;
    use burn::server::{
        AllowAll, AuthorizationRequest, PeerAuthorizer, RemoteServer, TokenAuthorizer,
        WebSocketTransport,
    };
    use dni::place::Token;

    use super::ServeArgs;
    use crate::output;

    /// Serves until Ctrl-C or SIGTERM.
    pub fn serve(args: &ServeArgs, token: Option<Token>) -> anyhow::Result<()> {
        if let Some(threads) = args.kernel_threads {
            dni::backend::set_shared_kernel_threads(threads)?;
        }
        let backend = args.backend.resolve();
        let device = backend.device()?;
        let cannot = || format!("cannot listen on {}", args.listen);
        let listener = TcpListener::bind(args.listen).with_context(cannot)?;
        let address = listener.local_addr().with_context(cannot)?;
        // burn's messages would go to stdout.
        // SAFETY: the program has started no other thread yet that could read the environment.
        unsafe { std::env::set_var("RUST_LOG", "off") };
        let server = RemoteServer::new([device]);
        let server = match token {
            Some(token) => server.with_authorizer(spoken(TokenAuthorizer::new(token.reveal())?)),
            None => server.with_authorizer(spoken(AllowAll)),
        };
        output::print(&format!("serving {backend} on ws://{address}\n"))?;
        server.serve(WebSocketTransport::from_listener(listener))?;
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
