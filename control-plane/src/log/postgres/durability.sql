SELECT concat_ws('; ',
    CASE WHEN current_setting('fsync') <> 'on' THEN 'fsync is off: set fsync = on' END,
    CASE WHEN current_setting('full_page_writes') <> 'on' THEN 'full_page_writes is off: set full_page_writes = on' END,
    CASE WHEN current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')
        THEN 'synchronous_commit is ' || current_setting('synchronous_commit') || ': set synchronous_commit = on, for the user and the database too' END,
    -- Each of our connections asks for warnings. A pooler that hands out others' drops that, and a user may be set to be told of errors only.
    CASE WHEN current_setting('client_min_messages') IN ('error', 'fatal', 'panic')
        THEN 'client_min_messages is ' || current_setting('client_min_messages')
            || ', so a commit that missed its standbys is not told: set it to warning, and connect without a pooler of transactions' END,
    CASE WHEN current_setting('synchronous_standby_names') = ''
        THEN 'no synchronous standby is configured: set synchronous_standby_names, for example to ''ANY 1 (a, b)''' END)
