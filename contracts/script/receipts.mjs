#!/usr/bin/env node
// What each step of the market costs by the receipts of a real chain: starts Anvil, deploys, walks through a first and a
// second order, prints the gas as JSON and exits with 1 when a step is over its budget.
// Usage: node contracts/script/receipts.mjs   (from the repository's root, after `npm ci`)
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, mkdirSync } from "node:fs";
import { createServer } from "node:net";

const BUDGETS = {
  create_order: 125000, place_bid: 62000, replace_bid: 45000, resolve: 160000, resolve_8_bids: 165000, confirm: 42000,
  settle: 42000, cash_out: 50000, close: 55000, permit_and_create: 185000,
};
// Anvil's own accounts: 0 deploys, owns the providers and keeps; 1 is the tenant; 2 to 9 are hot keys.
const KEYS = `ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80
59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d
5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a
7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6
47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a
8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba
92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e
4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356
dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97
2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6`.split("\n").map((key) => `0x${key}`);
const TERMS = "(uint48,uint16,uint32,uint80,uint16,uint24,uint8)";
const SPEC = "(uint256,bytes32,uint256,bytes)";
const RECORD = "(address,uint16,uint24,uint48,bool,bool,uint256,bytes32,string)";
const RATE = 7n * 10n ** 15n;

const tool = (name) => `node_modules/@foundry-rs/${name}-linux-amd64/bin/${name}`;
const cast = (...args) => execFileSync(tool("cast"), args.map(String), { encoding: "utf8", stdio: "pipe" }).trim();
const freePort = () =>
  new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });

const port = await freePort();
const rpc = `http://127.0.0.1:${port}`;
const anvil = spawn(tool("anvil"), ["--port", port, "--hardfork", "osaka", "--silent"], { stdio: "ignore" });
mkdirSync("target", { recursive: true });
const scratch = mkdtempSync("target/receipts-");
process.on("exit", () => {
  anvil.kill();
  rmSync(scratch, { recursive: true, force: true });
});
for (let tries = 0; ; tries++) {
  try {
    cast("chain-id", "--rpc-url", rpc);
    break;
  } catch (error) {
    if (tries === 50) throw error;
    await new Promise((done) => setTimeout(done, 200));
  }
}
// Anvil mines a block per transaction, so that bids need a longer window than in the field.
execFileSync(
  tool("forge"),
  ["script", "contracts/script/Deploy.s.sol", "--rpc-url", rpc, "--private-key", KEYS[0], "--broadcast"],
  { env: { ...process.env, BID_BLOCKS: "20", ADDRESS_BOOK: `${scratch}/book.json` }, stdio: ["ignore", "ignore", "inherit"] },
);
const book = JSON.parse(readFileSync(`${scratch}/book.json`, "utf8"));
const dollar = book.tokens.DUSD;
const address = KEYS.map((key) => cast("wallet", "address", key));

function send(account, to, signature, ...args) {
  const sent = ["send", "--rpc-url", rpc, "--private-key", KEYS[account], "--json", to, signature, ...args];
  const receipt = JSON.parse(cast(...sent));
  if (receipt.status !== "0x1") throw new Error(`${signature} reverted`);
  return Number(receipt.gasUsed);
}
const mine = (blocks) => cast("rpc", "--rpc-url", rpc, "anvil_mine", `0x${blocks.toString(16)}`);
function wait(seconds) {
  cast("rpc", "--rpc-url", rpc, "evm_increaseTime", seconds);
  mine(1);
}

const resources = 2000n | (4096n << 32n) | (10240n << 64n) | (1n << 120n);
const hex = (value, bytes) => value.toString(16).padStart(bytes * 2, "0");
const group = `0x${hex(1, 2)}${hex(2000, 3)}${hex(4096, 3)}${hex(10240, 3)}${hex(0, 5)}`;
const spec = `(${resources},0x${"ab".repeat(32)},0,${group})`;
const terms = (wallet) => `(${wallet},1,86400,${10n ** 16n},0,0,1)`;

const gas = {};
let order = 0;
const slotOf = (provider) => Number(BigInt(cast("keccak", `0x${hex(order, 32)}${hex(provider, 32)}`)) % 64n);
// An order in which the first `bids` providers have slots of their own.
function create(bids) {
  for (;;) {
    order += 1;
    const used = send(1, book.orderBook, `createOrder(${TERMS},${SPEC})`, terms(1), spec);
    const slots = Array.from({ length: bids }, (_, index) => slotOf(index + 1));
    if (new Set(slots).size === bids) return used;
  }
}
const bid = (provider, rate = RATE) =>
  send(1 + provider, book.orderBook, "placeBid(uint256,uint80,uint32)", order, rate, 0);
function resolve() {
  mine(20);
  return send(0, book.orderBook, "resolve(uint256)", order);
}
const confirm = () => send(2, book.leaseBook, "confirm(uint256)", order);
const settle = () => send(0, book.leaseBook, "settle(uint256)", order);

// A funded wallet and eight staked providers.
for (let i = 0; i < 6; i++) send(1, dollar, "faucet()");
send(1, dollar, "approve(address,uint256)", book.escrow, 2n ** 256n - 1n);
send(1, book.escrow, "createWallet(address)", address[1]);
send(1, book.escrow, "deposit(uint256,uint256,uint256)", 1, 1, 6000n * 10n ** 6n);
send(0, book.spon, "approve(address,uint256)", book.stakingManager, 2n ** 256n - 1n);
const capacity = 16000n | (65536n << 32n) | (1048576n << 64n);
for (let provider = 1; provider <= 8; provider++) {
  const record = `(${address[1 + provider]},515,0,3,true,false,${capacity},0x${"01".repeat(32)},p:1)`;
  send(0, book.providerRegistry, `propose(${RECORD})`, record);
  send(0, book.stakingManager, "stake(uint256,uint256)", provider, 1000n * 10n ** 18n);
}

// The first order: ledgers and payout addresses exist afterwards.
create(1);
bid(1);
resolve();
confirm();
wait(7200);
settle();
send(0, book.escrow, "cashOut(uint256,uint256)", 1, 1);
wait(3600);
settle();

gas.create_order = create(3);
bid(1);
gas.place_bid = bid(2);
gas.replace_bid = bid(2, RATE - 1n);
bid(3);
gas.resolve = resolve();

create(1);
bid(1);
resolve();
gas.confirm = confirm();
wait(3 * 3600);
gas.settle = settle();
gas.cash_out = send(0, book.escrow, "cashOut(uint256,uint256)", 1, 1);
gas.close = send(1, book.leaseBook, "close(uint256)", order);

create(8);
for (let provider = 1; provider <= 8; provider++) bid(provider);
gas.resolve_8_bids = resolve();

// One signature from an account that never used a permit, into a wallet that never held anything.
function permitAndCreate(account, wallet) {
  send(account, dollar, "faucet()");
  const message = { owner: address[account], spender: book.escrow, value: `${900n * 10n ** 6n}`, nonce: "0", deadline: `${2n ** 40n}` };
  const field = (name, type) => ({ name, type });
  const data = {
    types: {
      EIP712Domain: [field("name", "string"), field("version", "string"), field("chainId", "uint256"), field("verifyingContract", "address")],
      Permit: [field("owner", "address"), field("spender", "address"), field("value", "uint256"), field("nonce", "uint256"), field("deadline", "uint256")],
    },
    primaryType: "Permit",
    domain: { name: "Devnet Dollar", version: "1", chainId: book.chainId, verifyingContract: dollar },
    message,
  };
  const signed = cast("wallet", "sign", "--private-key", KEYS[account], "--data", JSON.stringify(data)).slice(2);
  const [r, s, v] = [`0x${signed.slice(0, 64)}`, `0x${signed.slice(64, 128)}`, parseInt(signed.slice(128), 16)];
  const call = `permitAndCreate(${TERMS},${SPEC},uint256,uint256,uint8,bytes32,bytes32)`;
  return send(account, book.orderBook, call, terms(wallet), spec, message.value, message.deadline, v, r, s);
}
send(2, book.escrow, "createWallet(address)", address[2]);
gas.permit_and_create = permitAndCreate(2, 2);
gas.permit_and_create_with_wallet = permitAndCreate(3, 0);

console.log(JSON.stringify(gas, null, 2));
const over = Object.keys(BUDGETS).filter((step) => gas[step] > BUDGETS[step]);
for (const step of over) console.error(`${step}: ${gas[step]} is over its budget of ${BUDGETS[step]}`);
process.exit(over.length === 0 ? 0 : 1);
