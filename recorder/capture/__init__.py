"""Making a recording: what is recorded, from the snapshot of /proc at the start to the last event.

The entry points: `record_options.RecordOptions`, `live_recording.record_this_machine`, `recorder.record`,
`surroundings.Surroundings`, `targets.open_target`, `supervisor`, `stream`, `replay`.
"""
