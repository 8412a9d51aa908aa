"""`python -m console.demo`."""

from console.demo.play import main

raise SystemExit(main())
