"""What people and programs touch: commands, queues, pages. Everything here enters through `orchestrator`."""
