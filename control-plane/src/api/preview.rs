//! What a webhook would make of an event, and what a changed one would make of those that are recorded.

use hookplane_proto::v1;
use tonic::{Request, Response, Status};

use crate::context::Context;

/// Serves `PreviewService`.
pub struct PreviewApi {
    /// The seams.
    pub context: Context,
}

#[tonic::async_trait]
impl v1::preview_service_server::PreviewService for PreviewApi {
    async fn preview(
        &self,
        _request: Request<v1::PreviewRequest>,
    ) -> Result<Response<v1::PreviewResponse>, Status> {
        Err(Status::unimplemented("not built yet"))
    }

    async fn compare(
        &self,
        _request: Request<v1::CompareRequest>,
    ) -> Result<Response<v1::CompareResponse>, Status> {
        Err(Status::unimplemented("not built yet"))
    }
}
