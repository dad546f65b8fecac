//! Plays the parts of the examples' images: `game` answers on UDP and TCP ports, `web` shows over HTTP what `db` keeps
//! on its volume for those who know the password, `api` says what it was told in secret. Compiled by `iono_e2e::actor`
//! into a static program, so the standard library is all there is.

use std::env::var;
use std::fs;
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

/// Where the database's volume is mounted.
const ROW: &str = "/var/lib/mysql/row";

fn main() {
    let part = std::env::args().nth(1).unwrap_or_default();
    println!("playing {part}");
    match part.as_str() {
        "game" => game(),
        "web" => serve(80, web),
        "db" => {
            // The first start makes the row, later ones find it.
            if fs::metadata(ROW).is_err() {
                let fresh = fs::read("/proc/sys/kernel/random/uuid").expect("random bytes");
                fs::write(ROW, fresh).expect("the volume can be written to");
            }
            serve(3_306, db);
        }
        "api" => serve(8_443, api),
        other => panic!("no part is called {other:?}"),
    }
}

/// Echoes on UDP and TCP 27015; each of four more ports says its number.
fn game() {
    let udp = UdpSocket::bind("0.0.0.0:27015").expect("a UDP port");
    thread::spawn(move || {
        let mut packet = [0; 2_048];
        while let Ok((size, from)) = udp.recv_from(&mut packet) {
            println!("a datagram of {size} bytes");
            let _ = udp.send_to(&[b"udp ", &packet[..size]].concat(), from);
        }
    });
    for port in 30_000..30_004 {
        thread::spawn(move || serve(port, move |_| Ok(format!("port {port}\n"))));
    }
    serve(27_015, |line| Ok(format!("tcp {line}")));
}

/// One page: what the database says.
fn web(request: &str) -> Result<String> {
    println!("{}", request.trim());
    let name = var("WORDPRESS_DB_HOST").unwrap_or_default();
    let (status, body) = match ask(&name, &var("WORDPRESS_DB_PASSWORD").unwrap_or_default()) {
        Ok(body) => ("200 OK", body),
        Err(error) => ("502 Bad Gateway", format!("{name}: {error}\n")),
    };
    let length = body.len();
    Ok(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"))
}

fn ask(name: &str, password: &str) -> Result<String> {
    let mut database = TcpStream::connect((name, 3_306))?;
    database.set_read_timeout(Some(Duration::from_secs(2)))?;
    writeln!(database, "{password}")?;
    let mut answer = String::new();
    database.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The row on the volume, for the password.
fn db(password: &str) -> Result<String> {
    if password.trim_end() != var("MARIADB_PASSWORD").unwrap_or_default() {
        return Ok("access denied\n".to_owned());
    }
    let row = fs::read_to_string(ROW)?;
    Ok(format!("{} {}\n", var("MARIADB_DATABASE").unwrap_or_default(), row.trim()))
}

/// What came as a variable and what came as files.
fn api(_: &str) -> Result<String> {
    let mut said = var("DATABASE_URL").unwrap_or_default() + "\n";
    for file in ["/etc/api/tls.key", "/run/secrets/license"] {
        said += &format!("{file} {:?}\n", fs::read(file)?);
    }
    Ok(said)
}

/// Answers the first line of every connection, and closes it.
fn serve(port: u16, answer: impl Fn(&str) -> Result<String> + Send + Sync + Clone + 'static) {
    let listener = TcpListener::bind(("0.0.0.0", port)).expect("a TCP port");
    for peer in listener.incoming().flatten() {
        let answer = answer.clone();
        thread::spawn(move || {
            if let Err(error) = converse(peer, answer) {
                println!("port {port}: {error}");
            }
        });
    }
}

fn converse(peer: TcpStream, answer: impl Fn(&str) -> Result<String>) -> Result<()> {
    peer.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(peer);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    if first.starts_with("GET ") {
        // What is left unread when a connection closes may take the answer with it.
        let mut header = String::new();
        while reader.read_line(&mut header)? > 2 {
            header.clear();
        }
    }
    reader.get_mut().write_all(answer(&first)?.as_bytes())
}
