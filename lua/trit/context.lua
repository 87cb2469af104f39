--- What `trit run` (or a sweep) tells the script it runs, and what comes back.
-- Outside of those the table stays as it is here, so a script also runs on its own.
--
--   script    path of the script, or nil
--   origin    path the script was copied from, when it is a copy: what arg[0] and messages name
--   argv      option name -> text given on the command line, true for a name alone; for trit.params
--   out       run directory asked for, or nil
--   resume    continue the run in `out`
--   quiet     no progress
--   threads   compute threads asked for, or nil
--
-- Filled in on the way:
--
--   declared, params   the script's options and their values (trit.params)
--   on_params          called with both, if set
--   run_dir            directory of the last run (trit.train)

return { argv = {}, resume = false, quiet = false }
