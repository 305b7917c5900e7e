//! Encoder and decoder of a build without Opus: there are none.

use super::{NoCoder, Settings};

/// Codes one direction of one stream; there is none in this build.
#[derive(Debug)]
pub enum Encoder {}

/// Decodes one direction of one stream; there is none in this build.
#[derive(Debug)]
pub enum Decoder {}

impl Encoder {
    /// No encoder.
    ///
    /// # Errors
    ///
    /// Always.
    pub const fn new(_rate_hz: u32) -> Result<Self, NoCoder> {
        Err(NoCoder)
    }

    /// See the encoder of a build that has one.
    pub fn tune(&mut self, _settings: &Settings) {
        match *self {}
    }

    /// See the encoder of a build that has one.
    pub fn push(&mut self, _samples: &[i16]) {
        match *self {}
    }

    /// See the encoder of a build that has one.
    pub fn packet(&mut self, _out: &mut [u8]) -> usize {
        match *self {}
    }

    /// See the encoder of a build that has one.
    pub const fn held(&self) -> usize {
        match *self {}
    }

    /// See the encoder of a build that has one.
    pub fn reset(&mut self) {
        match *self {}
    }

    /// See the encoder of a build that has one.
    pub const fn delay(&self) -> std::time::Duration {
        match *self {}
    }
}

impl Decoder {
    /// No decoder.
    ///
    /// # Errors
    ///
    /// Always.
    pub const fn new(_rate_hz: u32) -> Result<Self, NoCoder> {
        Err(NoCoder)
    }

    /// See the decoder of a build that has one.
    pub fn decode(&mut self, _packet: &[u8], _samples: &mut [i16]) -> usize {
        match *self {}
    }

    /// See the decoder of a build that has one.
    pub fn recover(&mut self, _next: &[u8], _samples: &mut [i16]) -> usize {
        match *self {}
    }

    /// See the decoder of a build that has one.
    pub fn conceal(&mut self, _samples: &mut [i16]) -> usize {
        match *self {}
    }

    /// See the decoder of a build that has one.
    pub fn reset(&mut self) {
        match *self {}
    }
}
