//! `iono explain`: exit codes, close reasons and contracts' errors in words.

use alloy::primitives::hex;
use iono_bindings::errors;
use iono_primitives::CloseReason;
use serde_json::json;

use crate::args::setup::Explain;
use crate::error::{Failure, Kind, Result};
use crate::output::{Report, facts, table};

/// Close reasons have numbers 0 to this.
const LAST_REASON: u8 = 31;

pub(crate) fn run(args: &Explain) -> Result<Report> {
    let code = args.code.trim();
    match code {
        "exit-codes" => return Ok(exit_codes()),
        "close-reasons" => return Ok(close_reasons()),
        _ => {}
    }
    if let Some(hex) = code.strip_prefix("0x") {
        let data = hex::decode(hex)
            .map_err(|error| Failure::new(Kind::Usage, format!("`{code}` is no hex: {error}")))?;
        let explained = errors::explain(&data);
        let text = facts(&[
            ("error", explained.code.clone()),
            ("what", explained.what.clone()),
            ("hint", explained.hint.clone()),
        ]);
        let json = json!({ "code": explained.code, "what": explained.what, "hint": explained.hint });
        return Ok(Report::new(&json, text));
    }
    if let Some(kind) =
        code.parse::<u8>().ok().and_then(|code| Kind::ALL.into_iter().find(|k| *k as u8 == code))
    {
        let json = json!({ "exit_code": kind as u8, "code": kind, "what": kind.words() });
        return Ok(Report::new(&json, kind.words()));
    }
    Err(Failure::new(Kind::Usage, format!("`{code}` is no code that is known here"))
        .hint("try `exit-codes`, `close-reasons`, an exit code's number, or revert data such as 0x…"))
}

fn exit_codes() -> Report {
    let rows: Vec<_> = Kind::ALL
        .into_iter()
        .map(|kind| json!({ "exit_code": kind as u8, "code": kind, "what": kind.words() }))
        .collect();
    let text = table(
        &["EXIT", "MEANING"],
        std::iter::once(vec!["0".into(), "done".into()])
            .chain(Kind::ALL.into_iter().map(|kind| vec![(kind as u8).to_string(), kind.words().to_owned()]))
            .chain([vec!["125".into(), "`iono shell` itself failed; other codes are the command's".into()]]),
    );
    Report::new(&rows, text)
}

fn close_reasons() -> Report {
    let reasons: Vec<CloseReason> = (0..=LAST_REASON).filter_map(CloseReason::from_code).collect();
    let json: Vec<_> = reasons
        .iter()
        .map(|reason| json!({ "number": reason.code(), "reason": reason, "what": reason.words() }))
        .collect();
    let text = table(
        &["REASON", "MEANING"],
        reasons.iter().map(|reason| vec![reason.code().to_string(), reason.words().to_owned()]),
    );
    Report::new(&json, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_explained_and_others_refused() {
        let explain = |code: &str| run(&Explain { code: code.to_owned() });
        assert!(explain("exit-codes").unwrap().text.contains("not enough tokens"));
        assert!(explain("close-reasons").unwrap().text.contains("closed by the tenant"));
        assert_eq!(explain("6").unwrap().json["code"], "funds");
        let reason = "0x08c379a0\
            0000000000000000000000000000000000000000000000000000000000000020\
            0000000000000000000000000000000000000000000000000000000000000002\
            6e6f000000000000000000000000000000000000000000000000000000000000";
        assert!(explain(reason).unwrap().text.contains("no"));
        assert_eq!(explain("nonsense").unwrap_err().kind, Kind::Usage);
        assert_eq!(explain("0xzz").unwrap_err().kind, Kind::Usage);
    }
}
