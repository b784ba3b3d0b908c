//! People: who may sign in to a tenant, and what they may see of it.
//!
//! A **user** belongs to one tenant, with a name, a password and a role that are of this tenant only; the same e-mail in another
//! tenant is another user. What a role may do is data (`role_permissions`). A user sees all stores, or those that are named.
//!
//! Who signs in opens a **session** and gets two tokens. The *access token* is a signed JWT that is good for ten minutes and says
//! who is calling; it opens nothing by itself: with each request the session is looked up (and remembered for two seconds, or until
//! the database tells of a change), so that an ended session, a deactivated user or another role counts at once. The *refresh
//! token* is good for one renewal, and ends the session if it is used a second time.
//!
//! ```text
//! http ─► session / user ─► sql ─► a transaction bound to the tenant
//!            │  password  Argon2id, a few at once
//!            │  attempts  wrong ones of an address
//!            └─ token     signed and verified with the keys of `signing`
//! ```
//!
//! All rows are the tenant's data, behind its row-level security. The tenant that a token or a sign-in names only says where to
//! look.

pub(crate) mod answers;
pub(crate) mod api_token;
pub(crate) mod attempts;
pub(crate) mod authenticator;
pub(crate) mod invitation;
pub(crate) mod joined;
pub(crate) mod names;
pub(crate) mod oidc;
pub(crate) mod password;
pub(crate) mod permission;
pub(crate) mod reset;
pub(crate) mod rules;
pub(crate) mod session;
pub(crate) mod sign_up;
pub(crate) mod signing;
pub(crate) mod token;
pub(crate) mod user;

pub(crate) use self::permission::{Permission, Role, may};
