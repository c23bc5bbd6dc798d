"""Running a sweep: functions are compiled, rows are measured, progress is shown."""
