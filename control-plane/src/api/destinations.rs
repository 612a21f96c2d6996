//! An org's destinations.

use hookplane_proto::v1;
use tonic::{Request, Response, Status};

use super::desk::{Desk, Mode, Prepared, stamp};
use super::status::Problem;
use crate::context::Context;

/// Serves `DestinationService`.
pub struct DestinationApi {
    /// The seams.
    pub context: Context,
}

/// What saving this destination would do.
pub(super) async fn prepare(
    _desk: &Desk<'_>,
    _given: &v1::Destination,
    _mode: Mode<'_>,
) -> Result<Prepared<v1::Destination>, Problem> {
    Err(Problem::field("spec", "is not built yet"))
}

pub(super) fn present(mut destination: v1::Destination, revision: u64) -> v1::Destination {
    stamp(&mut destination.metadata, revision);
    destination
}

#[tonic::async_trait]
impl v1::destination_service_server::DestinationService for DestinationApi {
    async fn list_destinations(
        &self,
        _request: Request<v1::ListDestinationsRequest>,
    ) -> Result<Response<v1::ListDestinationsResponse>, Status> {
        Err(Status::unimplemented("not built yet"))
    }

    async fn get_destination(
        &self,
        _request: Request<v1::GetDestinationRequest>,
    ) -> Result<Response<v1::Destination>, Status> {
        Err(Status::unimplemented("not built yet"))
    }

    async fn create_destination(
        &self,
        _request: Request<v1::CreateDestinationRequest>,
    ) -> Result<Response<v1::Destination>, Status> {
        Err(Status::unimplemented("not built yet"))
    }

    async fn update_destination(
        &self,
        _request: Request<v1::UpdateDestinationRequest>,
    ) -> Result<Response<v1::Destination>, Status> {
        Err(Status::unimplemented("not built yet"))
    }

    async fn delete_destination(
        &self,
        _request: Request<v1::DeleteDestinationRequest>,
    ) -> Result<Response<()>, Status> {
        Err(Status::unimplemented("not built yet"))
    }

    async fn describe_destination(
        &self,
        _request: Request<v1::DescribeDestinationRequest>,
    ) -> Result<Response<v1::DescribeDestinationResponse>, Status> {
        Err(Status::unimplemented("not built yet"))
    }
}
