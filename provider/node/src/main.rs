//! `provider`: parses the command line and hands over to the library.

use clap::Parser as _;

fn main() {
    let _cli = iono_provider::cli::Cli::parse();
}
