//! Scripts as real processes: what answers, what hangs, what leaves children behind, what prints garbage or too much.

use std::os::fd::AsRawFd as _;

use iono_testkit::eventually;
use nix::errno::Errno;
use nix::sys::signal::kill;

use super::*;
use crate::pricing::LONGEST;

/// Time for what should take none.
const SOON: Duration = Duration::from_secs(5);

fn script(words: &[&str]) -> Script {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    words.try_into().unwrap()
}

fn shell(text: &str) -> Script {
    script(&["/bin/sh", "-c", text])
}

async fn ask(text: &str, limit: Duration) -> Said {
    shell(text).ask(&Request::example(), limit).await
}

async fn refused(text: &str) -> String {
    ask(text, LONGEST).await.price.unwrap_err().to_string()
}

async fn price(script: &Script) -> String {
    script.ask(&Request::example(), LONGEST).await.price.unwrap().to_string()
}

/// Waits until a process that wrote its number to a file is gone.
async fn gone(file: &std::path::Path) {
    let id = eventually("the number of the process", SOON, || async {
        std::fs::read_to_string(file).ok()?.trim().parse().ok()
    });
    let id = Pid::from_raw(id.await.unwrap());
    // One that ended and that nobody asked after yet is gone as well.
    let dead = || match kill(id, None) {
        Err(Errno::ESRCH) => true,
        _ => std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| stat.contains(") Z ")),
    };
    eventually("the end of the process", SOON, || async { dead().then_some(()) }).await.unwrap();
}

#[test]
fn a_program_is_named_by_its_absolute_path() {
    for words in [vec![], vec!["price.py".to_owned()], vec!["./price.py".to_owned()]] {
        assert!(Script::try_from(words).is_err());
    }
    assert!(
        script(&["/bin/echo"]).startable().is_ok() && script(&["/nonexistent/price"]).startable().is_err()
    );
    let words = vec!["/bin/echo".to_owned(), "a b".to_owned()];
    assert_eq!(Vec::from(Script::try_from(words.clone()).unwrap()), words);
}

#[tokio::test]
async fn a_shell_and_a_python_script_answer_what_they_read() {
    let shell = shell(r#"case "$(cat)" in *'"wallet":7,'*) echo '{"hourly": "0.42"}';; esac"#);
    assert_eq!(price(&shell).await, "0.42");
    let python = "import json, sys\norder = json.load(sys.stdin)\n\
        print(json.dumps({'hourly': order['gpus']['h100-sxm-80gi'] * 1.5 + order['cpu'] / 1000 * 0.01}))";
    assert_eq!(price(&script(&["/usr/bin/env", "python3", "-c", python])).await, "3.02");
}

#[tokio::test]
async fn one_that_reads_nothing_or_leaves_a_child_behind_answers_too() {
    let folder = tempfile::tempdir().unwrap();
    let child = folder.path().join("child");
    assert_eq!(price(&script(&["/bin/echo", "{\"hourly\": 1}"])).await, "1");
    let started = Instant::now();
    let leaves = shell(&format!("sleep 600 & echo $! > {}; echo '{{\"hourly\": 2}}'", child.display()));
    assert_eq!(price(&leaves).await, "2");
    assert!(started.elapsed() < SOON);
    gone(&child).await;
}

#[tokio::test]
async fn what_hangs_ends_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let (own, child) = (folder.path().join("own"), folder.path().join("child"));
    let text = format!("echo $$ > {}; sleep 600 & echo $! > {}; wait", own.display(), child.display());
    let said = ask(&text, Duration::from_millis(500)).await;
    let error = said.price.unwrap_err().to_string();
    assert_eq!(error, "the pricing script gave no answer within 500 ms and was ended");
    assert!(said.took < SOON, "{:?}", said.took);
    gone(&own).await;
    gone(&child).await;
    // One whose asker went away ends as well.
    std::fs::remove_file(&child).unwrap();
    let asked = tokio::spawn(async move { ask(&text, LONGEST).await });
    eventually("the child", SOON, || async { child.exists().then_some(()) }).await.unwrap();
    asked.abort();
    gone(&child).await;
}

#[tokio::test]
async fn what_went_wrong_is_named() {
    for (text, why) in [
        ("echo oh; echo no >&2; exit 3", "failed: exit status: 3; it said: no"),
        ("kill -9 $$", "signal: 9"),
        ("echo hello", "cannot be used: expected value"),
        ("true", "it is empty"),
        ("echo '{\"hourly\": -1}'", "below zero"),
        ("echo '{\"hourly\": 1e30}'", "too large"),
        ("echo '{\"decline\": \"not on Sundays\"}'", "the pricing script declines: not on Sundays"),
        ("head -c 10000000 /dev/zero; exit 0", "more than 64 KiB"),
    ] {
        let error = refused(text).await;
        assert!(error.contains(why), "{text}: {error}");
    }
    let missing = script(&["/nonexistent/price"]).ask(&Request::example(), LONGEST).await;
    let error = missing.price.unwrap_err().to_string();
    assert!(error.contains("cannot be started: No such file"), "{error}");
    // However much it remarks, it is neither kept waiting nor kept.
    let said = ask("head -c 10000000 /dev/zero >&2; echo end >&2; echo '{\"hourly\": 1}'", LONGEST).await;
    assert!(said.price.is_ok(), "{said:?}");
}

#[tokio::test]
async fn it_gets_no_environment_and_no_descriptors() {
    let file = tempfile::tempfile().unwrap();
    // A descriptor that any program started from here would get.
    let leak = nix::unistd::dup(&file).unwrap();
    let seen = script(&["/bin/sh", "-c", "env >&2; ls -l /proc/self/fd; pwd"]);
    let said = seen.ask(&Request::example(), LONGEST).await;
    assert!(!said.stdout.contains(&format!(" {} -> ", leak.as_raw_fd())), "{}", said.stdout);
    assert!(said.stdout.ends_with("\n/\n"), "{}", said.stdout);
    let names = script(&["/usr/bin/env"]).ask(&Request::example(), LONGEST).await.stdout;
    assert!(names.starts_with("PATH=") && names.lines().count() == 1, "{names}");
}
