//! The Salesforce sink against a stubbed org, over real HTTP.

mod credentials;
mod delivered;
mod describe;
mod failures;
mod graphs;
mod rig;
mod rows;
mod values;
