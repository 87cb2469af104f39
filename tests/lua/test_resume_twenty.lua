-- tier: slow
-- Twenty kills of each kind of run; the rest of test_resume_kill.lua with it.
require("luv").os_setenv("TRIT_KILLS", "20")
dofile((os.getenv("TRIT_SOURCE") or ".") .. "/tests/lua/test_resume_kill.lua")
