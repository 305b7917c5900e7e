"""Scores speech by PESQ (ITU-T P.862, narrow band).

Reads lines of two WAV files (16 bits, 8 kHz, mono), reference and degraded, separated by a tab, and
prints a score for each.
"""

import sys
import wave

import numpy
from pesq import pesq


def samples(path):
    with wave.open(path, "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2), path
        return numpy.frombuffer(file.readframes(file.getnframes()), dtype="<i2")


for line in sys.stdin:
    reference, degraded = line.rstrip("\n").split("\t")
    print(pesq(8000, samples(reference), samples(degraded), "nb"), flush=True)
