//! Locations and templates.
