//! How many writes run at the same time: fewer while the API server is under pressure, more again when it is not.
//!
//! In: what became of each write · Out: a number · Touches: nothing

/// What a write tells about the API server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pressure {
    /// It answered at once.
    #[default]
    None,
    /// It asked to come back later, or could not answer: 429 and 5xx.
    High,
}

/// A window that halves under pressure and opens by one for every window of writes without any.
///
/// The server's own fairness (API Priority and Fairness) tells what it can take by 429 and `Retry-After`; the pauses
/// themselves are those of each call.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    most: usize,
    open: usize,
    /// Writes without pressure since the window changed.
    calm: usize,
    /// Writes that were under way when the window was halved: what they tell is known.
    known: usize,
}

impl Window {
    /// Fully open; at least 1.
    pub fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { most, open: most, calm: 0, known: 0 }
    }

    /// Writes that may run now.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Takes in what one write told.
    pub fn heard(&mut self, pressure: Pressure) {
        let known = self.known > 0;
        self.known = self.known.saturating_sub(1);
        match pressure {
            Pressure::High if known => {}
            Pressure::High => {
                self.known = self.open.saturating_sub(1);
                self.open = (self.open / 2).max(1);
                self.calm = 0;
            }
            Pressure::None => {
                self.calm += 1;
                if self.calm >= self.open && self.open < self.most {
                    self.open += 1;
                    self.calm = 0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_burst_of_refusals_halves_it_once() {
        let mut window = Window::new(16);
        (0..16).for_each(|_| window.heard(Pressure::High));
        assert_eq!(window.open(), 8);
        window.heard(Pressure::High);
        assert_eq!(window.open(), 4);
    }

    #[test]
    fn it_never_closes_and_opens_again_step_by_step() {
        let mut window = Window::new(4);
        (0..40).for_each(|_| window.heard(Pressure::High));
        assert_eq!(window.open(), 1);
        let mut opens = Vec::new();
        for _ in 0..10 {
            window.heard(Pressure::None);
            opens.push(window.open());
        }
        assert_eq!(opens, [2, 2, 3, 3, 3, 4, 4, 4, 4, 4]);
        assert_eq!(Window::new(0).open(), 1);
    }
}
