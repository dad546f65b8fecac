//! Builds the Solidity interfaces with the compiler from npm and writes them as one `sol!` block, so that Rust and the
//! contracts cannot drift. Only ABIs are asked for: no code is generated, and a half-edited implementation does not
//! stop a Rust build. Structs that several interfaces share become one Rust type.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use alloy::json_abi::{InternalType, JsonAbi, Param, ToSolConfig};
use foundry_compilers::artifacts::output_selection::OutputSelection;
use foundry_compilers::artifacts::{EvmVersion, SolcInput, SolcLanguage, Source};
use foundry_compilers::solc::Solc;

/// Folders of `contracts/src` whose files Rust needs: the interfaces and the types that they import.
const SOURCES: [&str; 2] = ["interfaces", "lib/Types.sol"];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let contracts = root.join("contracts/src");
    // Relative: clones that share a build cache must each look at their own files.
    for source in SOURCES {
        println!("cargo:rerun-if-changed=../../contracts/src/{source}");
    }
    println!("cargo:rerun-if-changed=../../tools/solc");

    let interfaces = compile(&root, &contracts)?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for (name, abi) in &interfaces {
        fs::write(out.join(format!("{name}.json")), serde_json::to_string(abi)?)?;
    }
    fs::write(out.join("bindings.rs"), render(interfaces)?)?;
    Ok(())
}

/// ABIs of all interfaces by name.
fn compile(root: &Path, contracts: &Path) -> Result<BTreeMap<String, JsonAbi>, Box<dyn Error>> {
    if !root.join("node_modules/solc").is_dir() {
        return Err("the Solidity compiler is missing: run `npm ci` in the repository's root (and see that `node` is in PATH)".into());
    }
    let mut input = SolcInput { language: SolcLanguage::Solidity, ..SolcInput::default() };
    input.settings.output_selection = OutputSelection::common_output_selection(["abi".to_owned()]);
    input.settings.evm_version = Some(EvmVersion::Osaka);
    for source in SOURCES {
        let path = contracts.join(source);
        for (file, text) in Source::read_all_from(&path, &["sol"])? {
            input.sources.insert(file.strip_prefix(root)?.to_owned(), text);
        }
    }
    let solc = Solc::new(root.join("tools/solc"))
        .map_err(|error| format!("tools/solc did not start (is `node` in PATH?): {error}"))?;
    let output = solc.compile(&input)?;
    let errors: Vec<String> =
        output.errors.iter().filter(|e| e.severity.is_error()).map(ToString::to_string).collect();
    if !errors.is_empty() {
        return Err(format!("the contracts' interfaces do not compile:\n{}", errors.join("\n")).into());
    }
    let mut interfaces = BTreeMap::new();
    for (name, contract) in output.contracts_into_iter() {
        let Some(abi) = contract.abi else { continue };
        if name.starts_with('I') {
            interfaces.insert(name, abi);
        }
    }
    Ok(interfaces)
}

/// One `sol!` block: the shared structs first, then the interfaces that use them.
fn render(interfaces: BTreeMap<String, JsonAbi>) -> Result<String, Box<dyn Error>> {
    let mut printed = Vec::new();
    let mut bodies: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, mut abi) in interfaces {
        plain_types(&mut abi);
        let (structs, rest) = split(&abi.to_sol(&name, Some(ToSolConfig::new().for_sol_macro(true))));
        for (name, body) in &structs {
            bodies.entry(name.clone()).or_default().insert(body.clone());
        }
        printed.push((structs, rest));
    }
    let is_shared = |name: &str| bodies.get(name).is_some_and(|bodies| bodies.len() == 1);
    let derives = "#[sol(extra_derives(serde::Serialize, serde::Deserialize))]";
    let mut text = String::from("alloy::sol! {\n#![sol(all_derives)]\n\n");
    for body in bodies.iter().filter(|(name, _)| is_shared(name)).flat_map(|(_, bodies)| bodies) {
        writeln!(text, "{derives}\n{body}\n")?;
    }
    for (structs, rest) in printed {
        // What several interfaces name alike and mean differently stays with each of them.
        let own: Vec<String> = structs
            .into_iter()
            .filter(|(name, _)| !is_shared(name))
            .map(|(_, body)| format!("{derives}\n{body}"))
            .collect();
        let (head, members) = rest.split_once("{\n").ok_or("an interface without a body")?;
        writeln!(text, "#[sol(rpc)]\n{head}{{\n{}{members}\n", own.concat())?;
    }
    text.push_str("}\n");
    Ok(text)
}

/// The structs of one printed interface by name, and the rest of it.
fn split(text: &str) -> (Vec<(String, String)>, String) {
    let (mut structs, mut rest) = (Vec::new(), String::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(head) = line.trim().strip_prefix("struct ") else {
            rest.push_str(line);
            rest.push('\n');
            continue;
        };
        let mut body = format!("struct {head}\n");
        for field in lines.by_ref() {
            body.push_str(field);
            body.push('\n');
            if field.trim() == "}" {
                break;
            }
        }
        structs.push((head.trim_end_matches(" {").to_owned(), body));
    }
    (structs, rest)
}

/// Enums and user-defined value types become the numbers they are stored as; `words.rs` and `iono-primitives` give
/// them their meaning.
fn plain_types(abi: &mut JsonAbi) {
    fn plain(internal: &mut Option<InternalType>) {
        if matches!(internal, Some(InternalType::Enum { .. } | InternalType::Other { .. })) {
            *internal = None;
        }
    }
    fn visit(params: &mut [Param]) {
        for param in params {
            plain(&mut param.internal_type);
            visit(&mut param.components);
        }
    }
    for function in abi.functions.values_mut().flatten() {
        visit(&mut function.inputs);
        visit(&mut function.outputs);
    }
    for error in abi.errors.values_mut().flatten() {
        visit(&mut error.inputs);
    }
    for event in abi.events.values_mut().flatten() {
        for input in &mut event.inputs {
            plain(&mut input.internal_type);
            visit(&mut input.components);
        }
    }
}
