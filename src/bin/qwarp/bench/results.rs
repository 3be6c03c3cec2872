//! What is printed: a table row by row as tests end, JSON as a whole.

use qwarp::Result;
use serde_json::Value;

use super::Output;
use super::progress::Progress;
use super::table::Table;
use crate::output::print;

/// The results so far.
pub struct Results<'a> {
    output: Output,
    progress: &'a Progress,
    objects: Vec<Value>,
}

impl<'a> Results<'a> {
    /// None yet; the head of a table is printed.
    pub fn new(output: Output, table: &Table, progress: &'a Progress) -> Result<Self> {
        if output == Output::Md {
            progress.suspend(|| print(&table.head()))?;
        }
        Ok(Results {
            output,
            progress,
            objects: Vec::new(),
        })
    }

    /// One more, in the form that is asked for.
    pub fn add(
        &mut self,
        row: impl FnOnce() -> String,
        object: impl FnOnce() -> Value,
    ) -> Result<()> {
        match self.output {
            Output::Md => self.progress.suspend(|| print(&row())),
            Output::Json => {
                self.objects.push(object());
                Ok(())
            }
        }
    }

    /// Takes the bar away and prints what has not been printed yet.
    pub fn finish(self) -> Result<()> {
        self.progress.finish();
        match self.output {
            Output::Md => Ok(()),
            Output::Json => print(&format!("{:#}\n", Value::from(self.objects))),
        }
    }
}
