Feature: Errors
  Raise, try, catch, retry: which errors are meant, how often, and in what order.

  Scenario: A raised error is told as it was written
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-raised-error-is-told-as-it-was-written, version: '1.0.0' }
    do:
      - stop: { raise: { error: { type: https://example.com/errors/sold-out, status: 409, title: Sold out, detail: '${ "no \(.what) left" }' } } }
    """
    And given the workflow input is:
    """yaml
    what: pears
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://example.com/errors/sold-out
    status: 409
    title: Sold out
    detail: no pears left
    instance: /do/0/stop
    """

  Scenario: A reusable error is raised by its name
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-reusable-error-is-raised-by-its-name, version: '1.0.0' }
    use: { errors: { soldOut: { type: https://example.com/errors/sold-out, status: 409 } } }
    do:
      - stop: { raise: { error: soldOut } }
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://example.com/errors/sold-out
    status: 409
    """

  Scenario: A filter takes every published form of a standard type (1)
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-filter-takes-every-published-form-of-a-standard, version: '1.0.0' }
    do:
      - attempt:
          try:
            - stop: { raise: { error: { type: https://serverlessworkflow.io/errors/types/timeout, status: 408 } } }
          catch:
            errors: { with: { type: https://serverlessworkflow.io/spec/1.0.0/errors/timeout } }
            as: err
            do: [ { told: { set: { kind: '${ $err.type }' } } } ]
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    kind: https://serverlessworkflow.io/errors/types/timeout
    """

  Scenario: A filter takes every published form of a standard type (2)
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-filter-takes-every-published-form-of-a-standard, version: '1.0.0' }
    do:
      - attempt:
          try:
            - stop: { raise: { error: { type: https://serverlessworkflow.io/errors/types/timeout, status: 408 } } }
          catch:
            errors: { with: { type: https://serverlessworkflow.io/dsl/errors/types/timeout } }
            as: err
            do: [ { told: { set: { kind: '${ $err.type }' } } } ]
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    kind: https://serverlessworkflow.io/errors/types/timeout
    """

  Scenario: A filter takes every published form of a standard type (3)
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-filter-takes-every-published-form-of-a-standard, version: '1.0.0' }
    do:
      - attempt:
          try:
            - stop: { raise: { error: { type: https://serverlessworkflow.io/errors/types/timeout, status: 408 } } }
          catch:
            errors: { with: { type: https://serverlessworkflow.io/errors/types/timeout } }
            as: err
            do: [ { told: { set: { kind: '${ $err.type }' } } } ]
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    kind: https://serverlessworkflow.io/errors/types/timeout
    """

  Scenario: A filter takes every published form of a standard type (4)
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-filter-takes-every-published-form-of-a-standard, version: '1.0.0' }
    do:
      - attempt:
          try:
            - stop: { raise: { error: { type: https://serverlessworkflow.io/errors/types/timeout, status: 408 } } }
          catch:
            errors: { with: { type: timeout } }
            as: err
            do: [ { told: { set: { kind: '${ $err.type }' } } } ]
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    kind: https://serverlessworkflow.io/errors/types/timeout
    """

  Scenario: A filter that does not fit lets the error through
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-filter-that-does-not-fit-lets-the-error-through, version: '1.0.0' }
    do:
      - attempt:
          try:
            - stop: { raise: { error: { type: https://example.com/a, status: 400 } } }
          catch:
            errors: { with: { type: https://example.com/b } }
            do: [ { never: { set: { x: 1 } } } ]
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://example.com/a
    """
    And never should not run

  # `catch.when` sees the error as `$error`.
  Scenario: When and exceptWhen decide too
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: when-and-exceptwhen-decide-too, version: '1.0.0' }
    do:
      - first:
          try:
            - stop: { raise: { error: { type: https://example.com/a, status: 500 } } }
          catch: { when: .status == 400, do: [ { no: { set: { x: 1 } } } ] }
    """
    And given the workflow input is:
    """yaml
    status: 500
    """
    When the workflow is executed
    Then the workflow should fault
    And no should not run

  Scenario: A caught error without handlers gives the input of the try
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-caught-error-without-handlers-gives-the-input-of, version: '1.0.0' }
    do:
      - attempt:
          try:
            - change: { set: { changed: true } }
            - stop: { raise: { error: { type: https://example.com/a, status: 400 } } }
          catch: {}
    """
    And given the workflow input is:
    """yaml
    x: 1
    """
    When the workflow is executed
    Then the workflow should complete

  # A count of 2 means two retries after the first run.
  Scenario: A retry comes first, and the handlers once when retries are spent
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-retry-comes-first-and-the-handlers-once-when-ret, version: '1.0.0' }
    do:
      - attempt:
          try:
            - stop: { raise: { error: { type: https://example.com/a, status: 500 } } }
          catch:
            retry: { delay: PT0.01S, limit: { attempt: { count: 2 } } }
            do: [ { handled: { set: { handled: true } } } ]
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    handled: true
    """
    And stop should run 3 times
    And handled should run 1 times
    And handled should run last

  # The service answers 404 the first time; a crash in between would ask it more often.
  @once
  Scenario: A retry that succeeds goes on
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-retry-that-succeeds-goes-on, version: '1.0.0' }
    do:
      - attempt:
          try:
            - look: { call: http, with: { method: get, endpoint: 'https://<outside>/flaky' } }
          catch:
            errors: { with: { status: 404 } }
            retry: { delay: PT0.01S, limit: { attempt: { count: 3 } } }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    answered: 2
    """

  # One hour, then two: a third retry, four hours later, would be after the limit of five hours.
  @clock
  Scenario: Retries grow as they say and never wait longer than the limit
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: retries-grow-as-they-say-and-never-wait-longer-tha, version: '1.0.0' }
    do:
      - attempt:
          try:
            - stop: { raise: { error: { type: https://example.com/a, status: 500 } } }
          catch:
            retry: { delay: PT1H, backoff: { exponential: {} }, limit: { attempt: { count: 10 }, duration: PT5H } }
    """
    When the workflow is executed
    And the clock advances PT1H
    And the clock advances PT2H
    And the clock advances PT4H
    Then the workflow should fault
    And stop should run 3 times

  # The second retry is two hours after the first.
  @clock
  Scenario: A linear backoff adds the delay each time
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-linear-backoff-adds-the-delay-each-time, version: '1.0.0' }
    do:
      - attempt:
          try:
            - stop: { raise: { error: { type: https://example.com/a, status: 500 } } }
          catch:
            retry: { delay: PT1H, backoff: { linear: {} }, limit: { attempt: { count: 2 } } }
    """
    When the workflow is executed
    And the clock advances PT1H
    And the clock advances PT1H
    Then the workflow should wait
    And stop should run 2 times

  Scenario: A reusable retry policy is named
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-reusable-retry-policy-is-named, version: '1.0.0' }
    use: { retries: { twice: { delay: PT0.01S, limit: { attempt: { count: 2 } } } } }
    do:
      - attempt:
          try:
            - stop: { raise: { error: { type: https://example.com/a, status: 500 } } }
          catch: { retry: twice }
    """
    When the workflow is executed
    Then the workflow should fault
    And stop should run 3 times

  Scenario: The error's variable has the name that is asked for
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: the-error-s-variable-has-the-name-that-is-asked-fo, version: '1.0.0' }
    do:
      - attempt:
          try:
            - inner: { do: [ { stop: { raise: { error: { type: https://example.com/a, status: 418 } } } } ] }
          catch: { as: problem, do: [ { told: { set: { at: '${ $problem.instance }', status: '${ $problem.status }' } } } ] }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    at: /do/0/attempt/try/0/inner/do/0/stop
    status: 418
    """

  Scenario: An error in a handler is not caught by its own try
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-error-in-a-handler-is-not-caught-by-its-own-try, version: '1.0.0' }
    do:
      - attempt:
          try:
            - stop: { raise: { error: { type: https://example.com/a, status: 400 } } }
          catch: { do: [ { again: { raise: { error: { type: https://example.com/b, status: 400 } } } } ] }
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://example.com/b
    instance: /do/0/attempt/catch/do/0/again
    """

  Scenario: A task's time limit can be caught
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-task-s-time-limit-can-be-caught, version: '1.0.0' }
    do:
      - attempt:
          try:
            - slow: { wait: PT1H, timeout: { after: PT0.05S } }
          catch: { errors: { with: { type: timeout, status: 408 } }, do: [ { late: { set: { late: true } } } ] }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    late: true
    """

  Scenario: The workflow's own time limit cannot be caught
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: the-workflow-s-own-time-limit-cannot-be-caught, version: '1.0.0' }
    timeout: { after: PT0.05S }
    do:
      - attempt:
          try:
            - slow: { wait: PT1H }
          catch: { do: [ { never: { set: { x: 1 } } } ] }
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    type: https://serverlessworkflow.io/spec/1.0.0/errors/timeout
    status: 408
    """
    And never should not run

  Scenario: A reusable time limit is named
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-reusable-time-limit-is-named, version: '1.0.0' }
    use: { timeouts: { brief: { after: { milliseconds: 50 } } } }
    do:
      - slow: { wait: PT1H, timeout: brief }
    """
    When the workflow is executed
    Then the workflow should fault with error:
    """yaml
    status: 408
    instance: /do/0/slow
    """

  # Drawn once from the execution, the task and the round: never less than the delay, never more than delay and jitter.
  @clock
  Scenario: Jitter lengthens the delay and never beyond its bounds
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: jitter-lengthens-the-delay-and-never-beyond-its, version: '1.0.0' }
    do:
      - attempt:
          try:
            - stop: { raise: { error: { type: https://example.com/a, status: 500 } } }
          catch:
            retry: { delay: PT1H, jitter: { from: PT1H, to: PT2H }, limit: { attempt: { count: 1 } } }
    """
    When the workflow is executed
    And the clock advances PT1H
    Then the workflow should wait
    And stop should run 1 times

  @clock
  Scenario: A retry with jitter comes in time
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-retry-with-jitter-comes-in-time, version: '1.0.0' }
    do:
      - attempt:
          try:
            - stop: { raise: { error: { type: https://example.com/a, status: 500 } } }
          catch:
            retry: { delay: PT1H, jitter: { from: PT1H, to: PT2H }, limit: { attempt: { count: 1 } } }
    """
    When the workflow is executed
    And the clock advances PT3H1S
    Then the workflow should fault
    And stop should run 2 times

  Scenario: An attempt that takes too long is tried again
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: an-attempt-that-takes-too-long-is-tried-again, version: '1.0.0' }
    do:
      - attempt:
          try:
            - rest: { wait: PT1H }
          catch:
            errors: { with: { status: 408 } }
            retry: { delay: PT0.01S, limit: { attempt: { count: 2, duration: PT0.05S } } }
            do: [ { late: { set: { late: true } } } ]
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    late: true
    """
    And rest should run 3 times

  Scenario: The flow goes where the catch says once it caught
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.1.0', namespace: omnihub, name: the-flow-goes-where-the-catch-says, version: '1.0.0' }
    do:
      - risky:
          try: [ { stop: { raise: { error: { type: https://example.com/a, status: 500 } } } } ]
          catch: { do: [ { fix: { set: { fixed: true } } } ], then: handled }
      - usual: { set: { usual: true }, then: end }
      - handled: { set: '${ . + { handled: true } }' }
    """
    When the workflow is executed
    Then the workflow should complete with output:
    """yaml
    fixed: true
    handled: true
    """
    And usual should not run

  Scenario: A catch of 1.0 has no then
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: a-catch-of-1-0-has-no-then, version: '1.0.0' }
    do:
      - risky:
          try: [ { stop: { raise: { error: { type: https://example.com/a, status: 500 } } } } ]
          catch: { then: end }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1044
