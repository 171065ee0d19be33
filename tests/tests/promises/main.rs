//! Faults of other systems around shared weights, one test for each: what went wrong there holds here. Every test
//! has the report of the fault in its comment, and a row in the book's `promises.md`; `page` compares the two.

mod batches;
mod files;
mod model;
mod page;
mod steps;
mod texts;
mod ties;
mod tools;
