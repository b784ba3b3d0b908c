//! What people may do: permissions, which roles have as rows of `role_permissions`, and how a handler's signature names them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something that a role may do in its own tenant. As data it is the word of [`Permission::as_str`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Permission {
    /// See the stores that the user sees, what has arrived of them, what was lost.
    StoresRead,
    /// Read their samples.
    MetricsRead,
    /// Read their events.
    EventsRead,
    /// See who the tenant's people are.
    UsersRead,
    /// Make users, change and deactivate them.
    UsersManage,
}

impl Permission {
    /// All of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::StoresRead, Self::MetricsRead, Self::EventsRead, Self::UsersRead, Self::UsersManage];

    /// As it stands in the database and in a token.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::StoresRead => "stores.read",
            Self::MetricsRead => "metrics.read",
            Self::EventsRead => "events.read",
            Self::UsersRead => "users.read",
            Self::UsersManage => "users.manage",
        }
    }

    /// Those of them that are known here. A word of a newer version grants nothing.
    pub(crate) fn known(words: &[String]) -> Vec<Self> {
        Self::ALL.into_iter().filter(|known| words.iter().any(|word| word == known.as_str())).collect()
    }
}

/// What a user is in its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Manages the tenant's people and sees everything of it.
    Admin,
    /// Works with what the stores tell.
    User,
    /// Looks at it.
    Viewer,
}

impl Role {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Admin, Self::User, Self::Viewer];

    /// As it is written everywhere.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::User => "user",
            Self::Viewer => "viewer",
        }
    }

    /// From a column that the schema holds to these words.
    pub(crate) fn of_column(text: &str) -> Result<Self, sqlx::Error> {
        text.parse().map_err(|()| sqlx::Error::Decode(format!("{text:?} is no role").into()))
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a handler needs of whoever calls it: `PersonAuth<may::ManageUsers>`.
pub(crate) trait Needed: Send + Sync + 'static {
    /// `None`: to be somebody, even where the password has yet to be changed.
    const PERMISSION: Option<Permission>;
}

/// The permissions, as types.
pub(crate) mod may {
    use super::{Needed, Permission};

    macro_rules! needed {
        ($($(#[$about:meta])* $name:ident = $permission:expr;)*) => {$(
            $(#[$about])*
            #[derive(Debug, Clone, Copy)]
            pub(crate) struct $name;

            impl Needed for $name {
                const PERMISSION: Option<Permission> = $permission;
            }
        )*};
    }

    needed! {
        /// Only to be somebody, whoever it is.
        BeKnown = None;
        /// [`Permission::StoresRead`].
        ReadStores = Some(Permission::StoresRead);
        /// [`Permission::MetricsRead`].
        ReadMetrics = Some(Permission::MetricsRead);
        /// [`Permission::EventsRead`].
        ReadEvents = Some(Permission::EventsRead);
        /// [`Permission::UsersRead`].
        ReadUsers = Some(Permission::UsersRead);
        /// [`Permission::UsersManage`].
        ManageUsers = Some(Permission::UsersManage);
    }
}
