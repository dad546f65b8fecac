//! Commands and terminals.

use std::time::Duration;

use futures::StreamExt;

use super::support::{eventually, log_text, run, shell, workload};
use super::{Harness, with_lease};
use crate::api::NoSwitchboard;
use crate::{ExecInput, ExecOutput, ExecRequest, RuntimeError, TtySize};

/// Exit codes, both outputs apart, and a half-close after which output goes on.
pub async fn runs_commands(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        let service = shell(harness, "app", "exec sleep 1000");
        runtime.apply(&workload(lease, vec![service]), &NoSwitchboard).await.expect("applied");
        let ran = run(&*runtime, lease, "app", "echo out; echo err >&2; exit 7", "").await;
        assert_eq!((ran.out.as_str(), ran.err.as_str(), ran.code), ("out\n", "err\n", 7));
        let ran = run(&*runtime, lease, "app", "wc -c; sleep 0.3; echo after", "12345").await;
        assert_eq!((ran.out.as_str(), ran.code), ("5\nafter\n", 0));
        let request = |service: &str| ExecRequest {
            service: service.to_owned(),
            replica: None,
            command: vec!["/bin/true".to_owned()],
            tty: None,
        };
        let missing = runtime.exec(lease, request("other")).await;
        assert!(matches!(missing, Err(RuntimeError::NotFound(_))));
        let ran = run(&*runtime, lease, "app", "no-such-program", "").await;
        assert_eq!(ran.code, 127);
    })
    .await;
}

/// A terminal has a size, and hears of another one; its bytes come as they are.
pub async fn shell_has_a_terminal(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        let service = shell(harness, "app", "exec sleep 1000");
        runtime.apply(&workload(lease, vec![service]), &NoSwitchboard).await.expect("applied");
        let request = ExecRequest {
            service: "app".to_owned(),
            replica: None,
            command: vec!["/bin/sh".to_owned()],
            tty: Some(TtySize { rows: 33, columns: 77 }),
        };
        let mut session = runtime.exec(lease, request).await.expect("a shell");
        let mut seen = String::new();
        let mut until = async |session: &mut crate::ExecSession, text: &str| {
            while !seen.contains(text) {
                let next = tokio::time::timeout(Duration::from_secs(20), session.output.next()).await;
                match next.unwrap_or_else(|_| panic!("no `{text}` in {seen:?}")) {
                    Some(Ok(ExecOutput::Output(_, bytes))) => seen += &String::from_utf8_lossy(&bytes),
                    other => panic!("{other:?}"),
                }
            }
        };
        let send = |text: &str| ExecInput::Stdin(text.to_owned().into());
        session.input.send(send("stty size\n")).await.expect("input");
        until(&mut session, "33 77").await;
        session.input.send(ExecInput::Resize(TtySize { rows: 44, columns: 99 })).await.expect("a size");
        session
            .input
            .send(send(
                "sleep 0.2; stty size; printf '\\001\\000\\000\\000\\377\\377\\377\\377'; echo still-here\n",
            ))
            .await
            .expect("input");
        until(&mut session, "44 99").await;
        until(&mut session, "still-here\r\n").await;
        session.input.send(send("exit 7\n")).await.expect("input");
        let mut last = None;
        while let Some(item) = session.output.next().await {
            last = Some(item.expect("output"));
        }
        assert_eq!(last, Some(ExecOutput::Exit(7)));
    })
    .await;
}

/// When the reader goes, the command goes.
pub async fn dropping_a_shell_ends_it(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        let line = "while true; do [ -e /proc/$(cat /pid 2>/dev/null || echo x) ] && echo alive || echo gone; sleep 0.1; done";
        runtime.apply(&workload(lease, vec![shell(harness, "app", line)]), &NoSwitchboard).await.expect("applied");
        let request = ExecRequest {
            service: "app".to_owned(),
            replica: None,
            command: ["/bin/sh", "-c", "echo $$ > /pid; exec sleep 1000"].map(str::to_owned).to_vec(),
            tty: None,
        };
        let session = runtime.exec(lease, request).await.expect("a command");
        eventually("the command runs", async || {
            log_text(&*runtime, lease, "app").await.ends_with("alive").then_some(())
        })
        .await;
        drop(session);
        eventually("the command is gone", async || log_text(&*runtime, lease, "app").await.ends_with("gone").then_some(()))
            .await;
    })
    .await;
}
