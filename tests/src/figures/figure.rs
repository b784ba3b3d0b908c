//! One figure: a value, what it is measured against, and what was promised of it.

/// What a measurement came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figure {
    pub(super) value: f64,
    /// What the bare minimum of the same work takes in the same run.
    pub(super) limit: Option<f64>,
    /// Value by limit; of medians, the median of the rounds' ratios.
    pub(super) ratio: Option<f64>,
    pub(super) goal: Option<Goal>,
}

/// What was promised.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Goal {
    pub(super) text: String,
    pub(super) met: bool,
    /// Whether the command fails if it is not met. What a later issue promises is only told.
    pub(super) is_binding: bool,
}

impl Goal {
    /// In words, with whether it binds yet.
    pub(super) fn told(&self) -> String {
        format!("{}{}", self.text, if self.is_binding { "" } else { " (later)" })
    }
}

impl Figure {
    pub(super) const fn new(value: f64) -> Self {
        Self { value, limit: None, ratio: None, goal: None }
    }

    pub(super) fn beside(self, limit: f64) -> Self {
        Self { limit: Some(limit), ratio: Some(self.value / limit), ..self }
    }

    /// The value may be this at most.
    pub(super) fn at_most(self, most: f64) -> Self {
        let met = self.value <= most;
        self.promise(format!("≤ {most}"), met)
    }

    /// The value must be this at least.
    pub(super) fn at_least(self, least: f64, text: &str) -> Self {
        let met = self.value >= least;
        self.promise(format!("≥ {text}"), met)
    }

    /// The value may be this many times the limit at most.
    pub(super) fn ratio_at_most(self, most: f64) -> Self {
        let met = self.ratio.is_some_and(|ratio| ratio <= most);
        self.promise(format!("ratio ≤ {most:.2}"), met)
    }

    /// The value must be this many times the limit at least.
    pub(super) fn ratio_at_least(self, least: f64) -> Self {
        let met = self.ratio.is_some_and(|ratio| ratio >= least);
        self.promise(format!("ratio ≥ {least}"), met)
    }

    /// From now on the command fails if what was promised is not kept.
    pub(super) fn binding(mut self) -> Self {
        if let Some(goal) = &mut self.goal {
            goal.is_binding = true;
        }
        self
    }

    /// One more promise; all must be kept. It binds only with [`Self::binding`].
    fn promise(mut self, text: String, met: bool) -> Self {
        self.goal = Some(match self.goal {
            None => Goal { text, met, is_binding: false },
            Some(goal) => Goal { text: format!("{}, {text}", goal.text), met: goal.met && met, ..goal },
        });
        self
    }

    /// Whether the command may succeed with it.
    pub(super) fn holds(&self) -> bool {
        self.goal.as_ref().is_none_or(|goal| goal.met || !goal.is_binding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_only_if_all_of_it_is() {
        let figure = Figure::new(2.0).beside(1.0).ratio_at_most(2.0);
        assert!(figure.goal.as_ref().unwrap().met);
        let figure = figure.at_most(1.0);
        let goal = figure.goal.as_ref().unwrap();
        assert_eq!((goal.met, &*goal.text), (false, "ratio ≤ 2.00, ≤ 1"));
    }

    #[test]
    fn only_a_binding_goal_makes_the_command_fail() {
        let figure = Figure::new(2.0).at_most(1.0);
        assert!(figure.holds());
        assert!(!figure.binding().holds());
        assert!(Figure::new(2.0).holds());
    }
}
