-- busted under the interpreter that runs this file; the `busted` command chooses its own.
require "busted.runner" { standalone = false }
