//! The command line as people and scripts use it: the real binary, a real server, simulated phones with real keys.

#![expect(missing_docs, reason = "the items are this test's own")]

mod administration;
mod house;
mod operation;
mod paging;
mod requests;
