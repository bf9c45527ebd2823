#!/usr/bin/env node
// The command's name exists before the first build, so that `npx waymark` is there in a fresh clone.
import '../dist/bundle/main.js';
