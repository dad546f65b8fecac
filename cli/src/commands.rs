//! One file per family of commands; each function takes the context and its arguments and returns a report.

mod admin;
mod admin_deploy;
mod admin_foundation;
mod admin_terms;
mod bids;
mod cash_out;
mod completions;
mod copy;
mod delegate;
mod deploy;
mod escrow;
mod explain;
mod faucet;
pub(crate) mod fizz;
mod init;
mod lifecycle;
mod logs;
mod manifest;
mod market;
mod operator;
mod operator_register;
mod operator_view;
mod provider;
mod ps;
mod quote;
mod send;
mod shell;
mod stake;
mod subnet;
mod update;
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
        Command::Send(args) => send::run(context, &args).await,
        Command::CashOut(args) => cash_out::account(context, &args).await,
        Command::Deploy(args) => deploy::run(context, &args).await,
        Command::SendManifest(args) => deploy::send_manifest(context, &args).await,
        Command::Resolve(args) => deploy::resolve(context, &args).await,
        Command::Cancel(args) => deploy::cancel(context, &args).await,
        Command::Market(args) => market::run(context, &args).await,
        Command::Quote(args) => quote::run(context, &args).await,
        Command::Manifest(args) => manifest::run(context, &args).await,
        Command::Bids(args) => bids::run(context, &args).await,
        Command::Ps(args) => ps::ps(context, &args).await,
        Command::Status(args) => ps::status(context, &args).await,
        Command::Logs(args) => logs::logs(context, &args).await,
        Command::Events(args) => logs::events(context, &args).await,
        Command::Shell(args) => shell::run(context, &args).await,
        Command::Cp(args) => copy::run(context, &args).await,
        Command::Restart(args) => lifecycle::restart(context, &args).await,
        Command::Update(args) => update::run(context, &args).await,
        Command::Extend(args) => lifecycle::extend(context, &args).await,
        Command::Close(args) => lifecycle::close(context, &args).await,
        Command::Rate(args) => lifecycle::rate(context, &args).await,
        Command::Delegate(args) => delegate::run(context, args).await,
        Command::Revoke(args) => delegate::revoke(context, &args).await,
        Command::Provider(args) => provider::run(context, args).await,
        Command::Stake(args) => stake::run(context, args).await,
        Command::Fizz(args) => fizz::run(context, args).await,
        Command::Subnet(args) => subnet::run(context, args).await,
        Command::Operator(args) => operator::run(context, args).await,
        Command::Admin(args) => admin::run(context, args).await,
        Command::Completions(args) => Ok(completions::run(&args)),
        Command::Explain(args) => explain::run(&args),
    }
}
