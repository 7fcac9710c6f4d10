"""How gunicorn serves the tracker: `gunicorn -c gunicorn_config.py "tracker:create_app()"`."""

worker_class = "gthread"
threads = 8
graceful_timeout = 5
control_socket_disable = True
