//! What a provider does for a lease. Rights were checked before any of this is called.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use iono_primitives::{LeaseId, OrderId};

use crate::{
    ApiError, BidAnswer, EventQuery, FilePath, LeaseEvent, LeaseStatus, LogLine, LogQuery, ManifestReceipt,
    ProviderInfo, QuoteRequest, RestartRequest, SaltedManifest, ShellRequest, ShellSession, SignedQuote,
};

/// Pieces of a tar archive.
pub type ByteStream = BoxStream<'static, Result<Bytes, ApiError>>;
/// Log lines.
pub type LogStream = BoxStream<'static, Result<LogLine, ApiError>>;
/// Events.
pub type EventStream = BoxStream<'static, Result<LeaseEvent, ApiError>>;

/// The provider behind the interface. Every method may fail with [`ApiError::unavailable`] when chain or runtime do not
/// answer.
#[async_trait]
pub trait LeaseService: Send + Sync + 'static {
    /// Public: what it offers.
    ///
    /// # Errors
    /// See the trait.
    async fn provider_info(&self) -> Result<ProviderInfo, ApiError>;

    /// Public: what it decided about an order.
    ///
    /// # Errors
    /// See the trait.
    async fn why_no_bid(&self, order: OrderId) -> Result<BidAnswer, ApiError>;

    /// Stores the manifest and starts what it asks for; does not wait for it. The same manifest again does nothing.
    ///
    /// # Errors
    /// `manifest_mismatch` when its hash is not the one on chain; `exceeds_order` when it asks for more than is paid.
    async fn put_manifest(
        &self,
        lease: LeaseId,
        manifest: SaltedManifest,
    ) -> Result<ManifestReceipt, ApiError>;

    /// The stored manifest.
    ///
    /// # Errors
    /// `not_found` when none was sent.
    async fn get_manifest(&self, lease: LeaseId) -> Result<SaltedManifest, ApiError>;

    /// The lease now.
    ///
    /// # Errors
    /// See the trait.
    async fn status(&self, lease: LeaseId) -> Result<LeaseStatus, ApiError>;

    /// Log lines, oldest first; ends after the last one unless they are followed.
    ///
    /// # Errors
    /// `not_found` for an unknown service.
    async fn logs(&self, lease: LeaseId, query: LogQuery) -> Result<LogStream, ApiError>;

    /// Events, oldest first; ends after the last one unless they are followed.
    ///
    /// # Errors
    /// See the trait.
    async fn events(&self, lease: LeaseId, query: EventQuery) -> Result<EventStream, ApiError>;

    /// Runs a command in a replica. Dropping the session ends the command.
    ///
    /// # Errors
    /// `not_found` for an unknown service or replica.
    async fn shell(&self, lease: LeaseId, request: ShellRequest) -> Result<ShellSession<ApiError>, ApiError>;

    /// A signed price for new terms.
    ///
    /// # Errors
    /// `no_quote` when the provider cannot or does not want to, with the dimension that is short.
    async fn quote(&self, lease: LeaseId, request: QuoteRequest) -> Result<SignedQuote, ApiError>;

    /// Restarts replicas one after the other and returns when they serve again.
    ///
    /// # Errors
    /// `not_found` for an unknown service.
    async fn restart(&self, lease: LeaseId, request: RestartRequest) -> Result<(), ApiError>;

    /// Unpacks a tar archive below a directory of a replica.
    ///
    /// # Errors
    /// `not_found` for an unknown service, replica or directory; the archive's own errors pass through.
    async fn copy_in(&self, lease: LeaseId, target: FilePath, archive: ByteStream) -> Result<(), ApiError>;

    /// A file or directory of a replica as a tar archive.
    ///
    /// # Errors
    /// `not_found` for an unknown service, replica or path.
    async fn copy_out(&self, lease: LeaseId, source: FilePath) -> Result<ByteStream, ApiError>;
}
