//! Payment tokens by symbol, number or address, and amounts in whole tokens.

use alloy::primitives::{Address, U256};
use alloy::providers::Provider;
use futures::future::try_join_all;
use iono_bindings::{IERC20, TokenWord};
use iono_primitives::money::{format_decimal, parse_decimal};
use serde::Serialize;

use crate::chain::{Call, Chain};
use crate::error::{Failure, Kind, Result};

/// Bits of a token word's flags.
const ENABLED: u8 = 1;
const SPON: u8 = 2;

/// A token that governance enabled, now or once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Token {
    /// Number in PaymentTokens.
    pub(crate) id: u16,
    pub(crate) symbol: String,
    pub(crate) asset: Address,
    pub(crate) decimals: u8,
    pub(crate) enabled: bool,
    /// No payer's and receiver's fee.
    pub(crate) spon: bool,
    /// 1e-8 dollars per whole token.
    pub(crate) price: u128,
}

/// All payment tokens of the market.
#[derive(Debug, Clone)]
pub(crate) struct Tokens(pub(crate) Vec<Token>);

impl Tokens {
    /// Reads them from the chain.
    pub(crate) async fn load(chain: &Chain) -> Result<Self> {
        let contract = chain.tokens();
        let count: u64 =
            contract.tokenCount().call().await.or_call("cannot read the payment tokens")?.saturating_to();
        try_join_all((0..count).map(|id| Token::load(chain, id))).await.map(Self)
    }

    /// By symbol (any case), number or address.
    pub(crate) fn find(&self, text: &str) -> Result<&Token> {
        let hits: Vec<&Token> = if let Ok(id) = text.parse::<u16>() {
            self.0.iter().filter(|token| token.id == id).collect()
        } else if let Ok(asset) = text.parse::<Address>() {
            self.0.iter().filter(|token| token.asset == asset).collect()
        } else {
            self.0.iter().filter(|token| token.symbol.eq_ignore_ascii_case(text)).collect()
        };
        match hits.as_slice() {
            [token] => Ok(token),
            [] => Err(Failure::new(Kind::NotFound, format!("`{text}` is no payment token here"))
                .hint(format!("known are {}", self.names()))),
            _ => Err(Failure::new(Kind::Usage, format!("several tokens call themselves `{text}`"))
                .hint("name it by its number or address; `iono admin token list` shows them")),
        }
    }

    /// The only enabled token besides SPON; SPON when there is no other.
    pub(crate) fn default(&self) -> Result<&Token> {
        let others: Vec<&Token> = self.0.iter().filter(|token| token.enabled && !token.spon).collect();
        match others.as_slice() {
            [token] => Ok(token),
            [] => self
                .0
                .iter()
                .find(|token| token.enabled)
                .ok_or_else(|| Failure::new(Kind::NotFound, "no payment token is enabled")),
            _ => {
                Err(Failure::new(Kind::Usage, format!("there are several payment tokens: {}", self.names()))
                    .hint("say which with --token, or set `token` in config.toml"))
            }
        }
    }

    /// By number; the chain's words name tokens that way.
    pub(crate) fn by_id(&self, id: u16) -> Result<&Token> {
        self.0
            .iter()
            .find(|token| token.id == id)
            .ok_or_else(|| Failure::new(Kind::NotFound, format!("there is no payment token {id}")))
    }

    fn names(&self) -> String {
        self.0.iter().map(|token| token.symbol.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl Token {
    async fn load(chain: &Chain, id: u64) -> Result<Self> {
        let contract = chain.tokens();
        let number = U256::from(id);
        let asset = contract.assetOf(number).call().await.or_call("cannot read a payment token")?;
        let word = contract.tokenWord(number).call().await.or_call("cannot read a payment token")?;
        let word = TokenWord::read([word]);
        // A symbol is the token's own word: shown only when it is short and plain.
        let symbol = IERC20::new(asset, &chain.rpc).symbol().call().await.unwrap_or_default();
        let plain = (1..=11).contains(&symbol.len())
            && symbol.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
        let symbol = if plain && symbol.parse::<u16>().is_err() { symbol } else { format!("token-{id}") };
        Ok(Self {
            id: u16::try_from(id).unwrap_or(u16::MAX),
            symbol,
            asset,
            decimals: word.decimals,
            enabled: word.flags & ENABLED != 0,
            spon: word.flags & SPON != 0,
            price: word.price,
        })
    }

    /// Whole tokens, such as `12.5`, in the smallest unit.
    pub(crate) fn parse(&self, text: &str) -> Result<U256> {
        parse_decimal(text, self.decimals).map_err(|error| Failure::new(Kind::Usage, error))
    }

    /// The smallest unit as whole tokens, without the symbol.
    pub(crate) fn plain(&self, amount: U256) -> String {
        format_decimal(amount, self.decimals)
    }

    /// The smallest unit as whole tokens with the symbol.
    pub(crate) fn show(&self, amount: U256) -> String {
        format!("{} {}", self.plain(amount), self.symbol)
    }

    /// An account's balance in the smallest unit.
    pub(crate) async fn balance(&self, chain: &Chain, account: Address) -> Result<U256> {
        IERC20::new(self.asset, &chain.rpc)
            .balanceOf(account)
            .call()
            .await
            .or_call(&format!("cannot read the {} balance of {account}", self.symbol))
    }
}

/// Wei of an account.
pub(crate) async fn ether(chain: &Chain, account: Address) -> Result<U256> {
    use crate::error::Context;
    chain
        .rpc
        .get_balance(account)
        .await
        .or_fail(Kind::Rpc, format_args!("cannot read the ether of {account}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(id: u16, symbol: &str, enabled: bool) -> Token {
        let asset = Address::with_last_byte(u8::try_from(id).unwrap() + 1);
        Token { id, symbol: symbol.into(), asset, decimals: 6, enabled, spon: id == 0, price: 100_000_000 }
    }

    #[test]
    fn tokens_are_found_by_any_name() {
        let tokens = Tokens(vec![token(0, "SPON", true), token(1, "USD", true), token(2, "USD", true)]);
        assert_eq!(tokens.find("spon").unwrap().id, 0);
        assert_eq!(tokens.find("2").unwrap().id, 2);
        assert_eq!(tokens.find(&Address::with_last_byte(2).to_string()).unwrap().id, 1);
        assert_eq!(tokens.find("USD").unwrap_err().kind, Kind::Usage);
        assert_eq!(tokens.find("EUR").unwrap_err().kind, Kind::NotFound);
    }

    #[test]
    fn the_default_is_the_only_one_besides_spon() {
        assert_eq!(Tokens(vec![token(0, "SPON", true), token(1, "USD", true)]).default().unwrap().id, 1);
        assert_eq!(Tokens(vec![token(0, "SPON", true), token(1, "USD", false)]).default().unwrap().id, 0);
        let two = Tokens(vec![token(0, "SPON", true), token(1, "USD", true), token(2, "EUR", true)]);
        assert_eq!(two.default().unwrap_err().kind, Kind::Usage);
    }

    #[test]
    fn amounts_go_both_ways() {
        let usd = token(1, "USD", true);
        assert_eq!(usd.show(usd.parse("12.5").unwrap()), "12.5 USD");
        assert_eq!(usd.parse("0.0000001").unwrap_err().kind, Kind::Usage);
    }
}
