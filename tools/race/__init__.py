"""qwarp against llama.cpp on one machine, in one run: what `tools/race-llama-cpp` is made of."""
