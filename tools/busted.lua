-- busted under the interpreter that runs this file; the `busted` command chooses its own.

-- busted unloads what a spec file has loaded. luv does not bear that: the one loop of a Lua state
-- ends with the first copy of the module that is collected, and the next copy crashes.
pcall(require, "luv")

require "busted.runner" { standalone = false }
