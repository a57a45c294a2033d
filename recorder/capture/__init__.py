"""A recording being made: what is recorded, from the first look at /proc to the last event.

Its face: `record_options.RecordOptions`, `live_recording.record_this_machine`, `recorder.record`,
`surroundings.Surroundings`, `targets.open_target`, `supervisor`, `stream`, `replay`.
"""
