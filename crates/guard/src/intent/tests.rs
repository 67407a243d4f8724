//! Tests of sentences.
