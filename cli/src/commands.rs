//! One file per family of commands; each function takes the context and its arguments and returns a report.

mod admin;
mod admin_deploy;
mod completions;
mod delegate;
mod deploy;
mod escrow;
mod explain;
mod faucet;
mod init;
mod provider;
mod stake;
mod wallet;

use crate::args::Command;
use crate::context::Context;
use crate::error::Result;
use crate::output::Report;

/// Runs one command.
pub(crate) async fn run(context: &Context, command: Command) -> Result<Report> {
    match command {
        Command::Init(args) => init::run(context, &args).await,
        Command::Wallet(args) => wallet::run(context, args).await,
        Command::Faucet(args) => faucet::run(context, &args).await,
        Command::Account(_) => wallet::account(context).await,
        Command::Deposit(args) => escrow::deposit(context, &args).await,
        Command::Withdraw(args) => escrow::withdraw(context, &args).await,
        Command::Wallets(_) => escrow::wallets(context).await,
        Command::Transfer(args) => escrow::transfer(context, &args).await,
        Command::Deploy(args) => deploy::run(context, &args).await,
        Command::SendManifest(args) => deploy::send_manifest(context, &args).await,
        Command::Resolve(args) => deploy::resolve(context, &args).await,
        Command::Cancel(args) => deploy::cancel(context, &args).await,
        Command::Delegate(args) => delegate::run(context, args).await,
        Command::Revoke(args) => delegate::revoke(context, &args).await,
        Command::Provider(args) => provider::run(context, args).await,
        Command::Stake(args) => stake::run(context, args).await,
        Command::Admin(args) => admin::run(context, args).await,
        Command::Completions(args) => Ok(completions::run(&args)),
        Command::Explain(args) => explain::run(&args),
        _ => Err(crate::error::Failure::new(crate::error::Kind::Usage, "not here yet")),
    }
}
