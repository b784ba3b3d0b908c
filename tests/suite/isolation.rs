//! Tenants cannot see each other.
