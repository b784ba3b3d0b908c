//! The states of a tenant, and the moves between them: pending → active ⇄ suspended → inactive, and no other.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::operator::Refusal;

/// Where a tenant is in its life. Only an active one's keys open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// Created, and not opened yet.
    Pending,
    /// Its agents may send.
    Active,
    /// Its agents hold what they have.
    Suspended,
    /// Ended. Nothing of it is deleted by this.
    Inactive,
}

impl Status {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Pending, Self::Active, Self::Suspended, Self::Inactive];

    /// As it is written everywhere.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Inactive => "inactive",
        }
    }

    /// From a column that the schema holds to these words.
    pub(crate) fn of_column(text: &str) -> Result<Self, sqlx::Error> {
        let unknown = || sqlx::Error::Decode(format!("{text:?} is no status of a tenant").into());
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(unknown)
    }

    /// Where it may go from here.
    pub(crate) const fn next(self) -> &'static [Self] {
        match self {
            Self::Pending => &[Self::Active],
            Self::Active => &[Self::Suspended],
            Self::Suspended => &[Self::Active, Self::Inactive],
            Self::Inactive => &[],
        }
    }

    /// Refuses a move that there is not, and names those that there are.
    pub(crate) fn check_move(self, to: Self) -> Result<(), Refusal> {
        if self.next().contains(&to) {
            return Ok(());
        }
        let next: Vec<&str> = self.next().iter().map(|status| status.as_str()).collect();
        let legal =
            if next.is_empty() { "nowhere".to_owned() } else { format!("only to {}", next.join(" or ")) };
        let detail = format!("a tenant that is {self} cannot become {to}: from {self} it goes {legal}");
        Err(Refusal::conflict("illegal_move", detail))
    }

    /// What the audit calls the arrival there.
    pub(super) const fn deed(self) -> &'static str {
        match self {
            Self::Pending => "tenant.created",
            Self::Active => "tenant.activated",
            Self::Suspended => "tenant.suspended",
            Self::Inactive => "tenant.deactivated",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_moves_are_legal_and_every_other_one_names_them() {
        let mut legal = Vec::new();
        for from in Status::ALL {
            for to in Status::ALL {
                match from.check_move(to) {
                    Ok(()) => legal.push(format!("{from} {to}")),
                    Err(refusal) => {
                        let said = refusal.to_string();
                        let named = from.next().iter().all(|next| said.contains(next.as_str()));
                        assert!(named && said.contains(from.as_str()), "{said}");
                    }
                }
            }
        }
        assert_eq!(legal, ["pending active", "active suspended", "suspended active", "suspended inactive"]);
    }
}
