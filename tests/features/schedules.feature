Feature: Schedules
  Executions that begin by themselves: because time came, or because an event did. What begins says so with an event, and the
  workflow that is executed hears it.

  Scenario: An event begins an execution that has it as its input
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: begun-by-one, version: '1.0.0' }
    schedule: { on: { one: { with: { type: kit.placed } } } }
    do:
      - say: { emit: { event: { with: { source: /begun, type: kit.begun, data: { order: '${ .[0].data.order }', events: '${ length }' } } } } }
    """
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: hears-what-one-begins, version: '1.0.0' }
    do:
      - hear: { listen: { to: { one: { with: { type: kit.begun } } } } }
    """
    When the workflow is executed
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.placed, source: /kit, id: on1, data: { order: a } }
    """
    Then the workflow should complete with output:
    """yaml
    - { order: a, events: 1 }
    """

  Scenario: Any of several events begins one execution each
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: begun-by-any, version: '1.0.0' }
    schedule: { on: { any: [ { with: { type: kit.added } }, { with: { type: kit.moved, subject: box } } ] } }
    do:
      - say: { emit: { event: { with: { source: /begun, type: kit.begun, data: '${ .[0].data }' } } } }
    """
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: hears-what-any-begins, version: '1.0.0' }
    do:
      - hear: { listen: { to: { any: [ { with: { type: kit.begun } } ], until: 'length == 2' } } }
      - sorted: { set: { got: '${ sort }' } }
    """
    When the workflow is executed
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.added, source: /kit, id: any1, data: 1 }
    """
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.moved, source: /kit, id: any2, data: 7, subject: shelf }
    """
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.moved, source: /kit, id: any3, data: 2, subject: box }
    """
    Then the workflow should complete with output:
    """yaml
    got: [ 1, 2 ]
    """

  Scenario: An event whose data does not fit begins nothing, and the same one begins one execution
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: begun-by-large, version: '1.0.0' }
    schedule: { on: { one: { with: { type: kit.sized, data: '${ .n > 10 }' } } } }
    do:
      - say: { emit: { event: { with: { source: /begun, type: kit.begun, data: '${ .[0].data.n }' } } } }
    """
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: hears-what-large-begins, version: '1.0.0' }
    do:
      - hear: { listen: { to: { any: [ { with: { type: kit.begun } } ], until: 'length == 2' } } }
      - sorted: { set: { got: '${ sort }' } }
    """
    When the workflow is executed
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.sized, source: /kit, id: size1, data: { n: 3 } }
    """
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.sized, source: /kit, id: size2, data: { n: 11 } }
    """
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.sized, source: /kit, id: size2, data: { n: 12 } }
    """
    And the runtime restarts
    And event is published:
    """yaml
    { specversion: '1.0', type: kit.sized, source: /kit, id: size3, data: { n: 13 } }
    """
    Then the workflow should complete with output:
    """yaml
    got: [ 11, 13 ]
    """

  Scenario: Events joined before something begins are refused while they are not built
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: begun-by-all, version: '1.0.0' }
    schedule: { on: { all: [ { with: { type: kit.a } }, { with: { type: kit.b } } ] } }
    do:
      - done: { set: { x: 1 } }
    """
    When the workflow is published
    Then the workflow should be refused with OH-1100

  @clock
  Scenario: An interval begins an execution when it has passed
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: begun-every-hour, version: '1.0.0' }
    schedule: { every: { hours: 1 } }
    do:
      - say: { emit: { event: { with: { source: /begun, type: kit.hour, data: came } } } }
    """
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: hears-every-hour, version: '1.0.0' }
    do:
      - hear: { listen: { to: { one: { with: { type: kit.hour } } } } }
    """
    When the workflow is executed
    Then the workflow should wait
    When the clock advances PT59M
    Then the workflow should wait
    When the clock advances PT2M
    Then the workflow should complete with output:
    """yaml
    [ came ]
    """

  @clock
  Scenario: A pattern begins an execution when the clock on the wall fits it
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: begun-by-cron, version: '1.0.0' }
    schedule: { cron: '0 0 * * *' }
    do:
      - say: { emit: { event: { with: { source: /begun, type: kit.midnight, data: came } } } }
    """
    Given a workflow with definition:
    """yaml
    document: { dsl: '1.0.3', namespace: omnihub, name: hears-midnight, version: '1.0.0' }
    do:
      - hear: { listen: { to: { one: { with: { type: kit.midnight } } } } }
    """
    When the workflow is executed
    And the clock advances P1D
    Then the workflow should complete with output:
    """yaml
    [ came ]
    """
