//! Clients that nobody here wrote, driven against any lease API: `openssl`, `curl` and Python's `websockets`. The
//! end-to-end tests include this file and use it against a real provider.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, missing_docs)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

/// The release of `websockets` that is installed from PyPI.
const WEBSOCKETS: &str = "websockets==15.0.1";

/// A lease API to try.
#[derive(Clone)]
pub struct Target {
    /// host:port.
    pub endpoint: String,
    /// `sha256//…` as in the registry.
    pub pin: String,
}

/// What a client got.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status; 0 when there was no answer.
    pub status: u16,
    /// The body, or all that was printed.
    pub body: String,
    /// What the client said on standard error.
    pub log: String,
    /// The client's exit code.
    pub exit: i32,
}

/// Which certificate and key a client shows: `None`, or two files that may be the same.
pub type Shown<'a> = Option<(&'a Path, &'a Path)>;

/// A certificate that must be refused.
pub struct Refused<'a> {
    pub shown: Shown<'a>,
    pub lease: u64,
    pub status: u16,
    pub code: &'static str,
}

impl Target {
    /// GET with curl, trusting the registry's pin.
    pub fn curl(&self, shown: Shown<'_>, path: &str) -> Answer {
        self.curl_pinned(&self.pin, shown, path)
    }

    /// GET with curl, trusting `pin`.
    pub fn curl_pinned(&self, pin: &str, shown: Shown<'_>, path: &str) -> Answer {
        let mut command = Command::new("curl");
        // -k leaves the check of the pin on: no CA signed this certificate, and none is asked.
        command.args(["-sS", "-k", "--max-time", "30", "-w", "\n%{http_code}", "--pinnedpubkey", pin]);
        if let Some((certificate, key)) = shown {
            command.arg("--cert").arg(certificate).arg("--key").arg(key).args(["--key-type", kind(key)]);
        }
        let output =
            command.arg(format!("https://{}{path}", self.endpoint)).output().expect("curl is installed");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
        answer(status.parse().unwrap_or(0), body, &output)
    }

    /// GET with openssl s_client; `more` are further flags. The body is all that it printed.
    pub fn openssl(&self, shown: Shown<'_>, path: &str, more: &[&str]) -> Answer {
        let mut child = self.s_client(shown, more);
        // Refused connections may be closed before the request is written.
        let _ = child.stdin.take().unwrap().write_all(self.request(path, "close").as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        answer(status_in(&text), &text, &output)
    }

    /// A connection of openssl s_client that is kept for several requests.
    pub fn keep_open(&self, shown: Shown<'_>) -> KeptOpen {
        let mut child = self.s_client(shown, &["-quiet"]);
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        KeptOpen { child, input, output, target: self.clone() }
    }

    fn s_client(&self, shown: Shown<'_>, more: &[&str]) -> Child {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &self.endpoint, "-ign_eof"]).args(more);
        if let Some((certificate, key)) = shown {
            command.arg("-cert").arg(certificate).arg("-key").arg(key).args(["-keyform", kind(key)]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("openssl is installed")
    }

    fn request(&self, path: &str, connection: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: {connection}\r\n\r\n", self.endpoint)
    }

    /// Both clients are refused with this status and code, in words and with a hint.
    pub fn assert_refused(&self, case: &Refused<'_>) {
        let path = format!("/v1/leases/{}/status", case.lease);
        let answers = [self.curl(case.shown, &path), self.openssl(case.shown, &path, &[])];
        for answer in answers {
            assert_eq!(answer.status, case.status, "{}: {answer:?}", case.code);
            assert!(
                answer.body.contains(&format!("\"code\":\"{}\"", case.code)),
                "{}: {answer:?}",
                case.code
            );
            for field in ["\"message\":\"", "\"hint\":\""] {
                let (_, rest) =
                    answer.body.split_once(field).unwrap_or_else(|| panic!("no {field}: {answer:?}"));
                assert!(!rest.starts_with('"'), "empty {field}: {answer:?}");
            }
        }
    }

    /// Both clients are let in.
    pub fn assert_allowed(&self, shown: Shown<'_>, lease: u64) {
        let path = format!("/v1/leases/{lease}/status");
        for answer in [self.curl(shown, &path), self.openssl(shown, &path, &[])] {
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }

    /// The right certificate with a key that is not its own: the handshake itself fails, with an alert that says so.
    pub fn assert_key_not_proven(&self, certificate: &Path, lease: u64, folder: &Path) {
        let wrong = wrong_key(certificate, folder);
        let path = format!("/v1/leases/{lease}/status");
        let curl = self.curl(Some((certificate, &wrong)), &path);
        let openssl = self.openssl(Some((certificate, &wrong)), &path, &[]);
        for answer in [&curl, &openssl] {
            assert_eq!(answer.status, 0, "{answer:?}");
            assert!(answer.log.contains("alert decrypt error"), "{answer:?}");
        }
    }

    /// The registry's pin lets curl in, any other does not.
    pub fn assert_pin_decides(&self, shown: Shown<'_>, lease: u64) {
        let path = format!("/v1/leases/{lease}/status");
        assert_eq!(self.curl(shown, &path).status, 200);
        let first = self.pin.as_bytes()["sha256//".len()];
        let altered =
            format!("sha256//{}{}", if first == b'A' { 'B' } else { 'A' }, &self.pin["sha256//".len() + 1..]);
        let answer = self.curl_pinned(&altered, shown, &path);
        assert_eq!((answer.exit, answer.status), (90, 0), "CURLE_SSL_PINNEDPUBKEYNOTMATCH: {answer:?}");
    }

    /// No session of the server can be resumed, and a saved one gives nothing after `transfer` took the right away.
    pub fn assert_no_resumption(&self, shown: Shown<'_>, lease: u64, folder: &Path, transfer: impl FnOnce()) {
        let path = format!("/v1/leases/{lease}/status");
        let saved = folder.join("session.pem");
        let saved_name = saved.display().to_string();
        let before = self.openssl(shown, &path, &["-sess_out", &saved_name]);
        assert_eq!(before.status, 200, "{before:?}");
        assert!(!before.body.contains("Reused") && !before.body.contains("New Session Ticket"), "{before:?}");
        let mut kept = self.keep_open(shown);
        assert_eq!(kept.get(&path).0, 200);

        transfer();

        let (status, body) = kept.get(&path);
        assert_eq!(status, 403, "an open connection: {body}");
        assert!(body.contains("\"code\":\"not_allowed\""), "{body}");
        // openssl saves nothing without a ticket; had it saved one, it would be tried.
        let resume = ["-sess_in", saved_name.as_str()];
        let after = self.openssl(shown, &path, if saved.exists() { &resume } else { &[] });
        assert!(after.body.contains("New, TLSv1.3"), "{after:?}");
        assert_eq!(after.status, 403, "{after:?}");
    }

    /// Starts a command in a shell through Python's `websockets`.
    pub fn shell(&self, python_packages: &Path, pem: &Path, lease: u64, query: &str) -> StockShell {
        let url = format!("wss://{}/v1/leases/{lease}/shell?{query}", self.endpoint);
        let mut child = Command::new("python3")
            .args(["-c", SHELL_CLIENT, &url])
            .arg(pem)
            .env("PYTHONPATH", python_packages)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("python3 is installed");
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        StockShell { child, input, output }
    }
}

/// Installs Python's `websockets` from PyPI below `folder`, once.
pub fn python_websockets(folder: &Path) -> PathBuf {
    let packages = folder.join(WEBSOCKETS.replace("==", "-"));
    if packages.exists() {
        return packages;
    }
    let fresh = tempfile::tempdir_in(folder).unwrap();
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"])
        .arg(fresh.path().join("packages"))
        .arg(WEBSOCKETS)
        .output()
        .expect("python3 is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Another test may have been faster.
    let renamed = std::fs::rename(fresh.path().join("packages"), &packages);
    assert!(renamed.is_ok() || packages.exists());
    packages
}

/// Speaks the documented frames: channel bytes and JSON. Prints `open`, then what the server sends, as JSON lines; with
/// standard input closed it sends eof.
const SHELL_CLIENT: &str = r#"
import json, ssl, sys, threading
from websockets.sync.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

url, pem = sys.argv[1:3]
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
tls.load_cert_chain(pem)

def say(**line):
    print(json.dumps(line), flush=True)

def feed(ws):
    try:
        for line in sys.stdin:
            ws.send(b"\x00" + line.encode())
        ws.send('{"type":"eof"}')
    except ConnectionClosed:
        pass

try:
    with connect(url, ssl=tls) as ws:
        say(open=True)
        threading.Thread(target=feed, args=(ws,), daemon=True).start()
        try:
            while True:
                message = ws.recv()
                if isinstance(message, str):
                    say(control=json.loads(message))
                else:
                    say(channel=message[0], text=message[1:].decode())
        except ConnectionClosed as closed:
            say(closed=closed.rcvd.code if closed.rcvd else None, reason=closed.rcvd.reason if closed.rcvd else None)
except InvalidStatus as refused:
    say(status=refused.response.status_code, body=refused.response.body.decode())
sys.stdout.flush()
import os; os._exit(0)
"#;

/// A shell in Python's `websockets`.
pub struct StockShell {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl StockShell {
    /// Lines for the command's standard input.
    pub fn write(&mut self, text: &str) {
        let input = self.input.as_mut().expect("not closed yet");
        input.write_all(text.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    /// Ends the command's standard input.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// The next line that the client printed, as JSON text; empty at its end.
    pub fn next(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// All further lines.
    pub fn rest(mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.next();
            if line.is_empty() {
                return lines;
            }
            lines.push(line);
        }
    }
}

impl Drop for StockShell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One TLS connection for several requests.
pub struct KeptOpen {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    target: Target,
}

impl KeptOpen {
    /// Status and body of a GET.
    pub fn get(&mut self, path: &str) -> (u16, String) {
        self.input.write_all(self.target.request(path, "keep-alive").as_bytes()).unwrap();
        self.input.flush().unwrap();
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            self.output.read_line(&mut line).unwrap();
            let line = line.trim_end().to_ascii_lowercase();
            if line.starts_with("http/1.1 ") {
                status = status_in(&line.to_ascii_uppercase());
            } else if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.output.read_exact(&mut body).unwrap();
        (status, String::from_utf8(body).unwrap())
    }
}

impl Drop for KeptOpen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A key file (DER) whose public half is the certificate's and whose private half is not: clients compare the public
/// halves alone, so it reaches the server's own check.
pub fn wrong_key(pem: &Path, folder: &Path) -> PathBuf {
    let path = folder.join("wrong-key.der");
    let convert = Command::new("openssl")
        .args(["pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in"])
        .arg(pem)
        .output()
        .expect("openssl is installed");
    assert!(convert.status.success(), "{convert:?}");
    let mut der = convert.stdout;
    // RFC 5915: version 1, then the private key as an octet string of 32 bytes.
    let mark = [2, 1, 1, 4, 32];
    let at = der.windows(mark.len()).position(|window| window == mark).expect("a P-256 key") + mark.len();
    der[at..at + 32].copy_from_slice(&[0x5a; 32]);
    std::fs::write(&path, der).unwrap();
    path
}

/// A thief's certificate: an own key, made by openssl, with the authorisation copied out of somebody's certificate.
pub fn copied_authorisation(pem: &Path, folder: &Path) -> (PathBuf, PathBuf) {
    let parsed = Command::new("openssl").args(["asn1parse", "-in"]).arg(pem).output().unwrap();
    let text = String::from_utf8(parsed.stdout).unwrap();
    let (_, rest) = text.split_once("1.3.6.1.4.1.32473.1013.1").expect("the extension");
    let (_, rest) = rest.split_once("[HEX DUMP]:").expect("its value");
    let extension = format!("1.3.6.1.4.1.32473.1013.1=DER:{}", rest.lines().next().unwrap());
    let (certificate, key) = (folder.join("thief.pem"), folder.join("thief-key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-subj", "/CN=thief", "-addext", &extension, "-out"])
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    (certificate, key)
}

/// A self-signed certificate of openssl's own making, without any authorisation.
pub fn plain_certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let (certificate, key) = (folder.join("plain.pem"), folder.join("plain-key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=anyone", "-out"])
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    (certificate, key)
}

fn kind(key: &Path) -> &'static str {
    if key.extension().is_some_and(|extension| extension == "der") { "DER" } else { "PEM" }
}

fn status_in(text: &str) -> u16 {
    let after = text.split_once("HTTP/1.1 ").map_or("", |(_, after)| after);
    after.get(..3).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn answer(status: u16, body: &str, output: &Output) -> Answer {
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    Answer { status, body: body.to_owned(), log, exit: output.status.code().unwrap_or(-1) }
}
