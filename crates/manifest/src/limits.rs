//! Bounds on everything that a manifest may contain; a provider applies them to bytes from strangers.

/// Bytes of a `deploy.yaml`.
pub const MAX_FILE_BYTES: usize = 256 * 1024;
/// Bytes of a canonical manifest.
pub const MAX_MANIFEST_BYTES: usize = 64 * 1024;
/// Services of a deployment; the order's groups hold as many.
pub const MAX_SERVICES: usize = 12;
/// Replicas of a service.
pub const MAX_REPLICAS: u16 = 1_000;
/// Environment variables of a service.
pub const MAX_ENV: usize = 256;
/// Bytes of one environment variable's value, argument or secret.
pub const MAX_TEXT_BYTES: usize = 32 * 1024;
/// Words of a command or of its arguments.
pub const MAX_ARGS: usize = 256;
/// Ports that a service exposes, ranges counted in full.
pub const MAX_PORTS: usize = 128;
/// Host names that one port accepts.
pub const MAX_HOSTS: usize = 16;
/// Volumes of a service, shared memory included.
pub const MAX_VOLUMES: usize = 16;
/// Secrets of a service.
pub const MAX_SECRETS: usize = 32;
/// Leased IP endpoints of a deployment.
pub const MAX_ENDPOINTS: usize = 8;
/// GPUs of one replica.
pub const MAX_GPUS: u8 = 64;
/// Longest lease that the order book takes, in seconds: 180 days.
pub const MAX_DURATION: u32 = 180 * 24 * 3_600;
