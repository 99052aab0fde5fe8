# The smallest application of Rails; docs/INTEGRATIONS.md has what is added.
require 'active_record/railtie'
require 'action_controller/railtie'

class Shop < Rails::Application
  config.root = __dir__
  config.load_defaults 6.1
  config.eager_load = false
  config.secret_key_base = 'of the tests'
  config.hosts.clear
  config.logger = ActiveSupport::Logger.new($stderr)
  config.log_level = :warn
end

ENV['DATABASE_URL'] = "sqlite3:#{__dir__}/shop.db"
Shop.initialize!

ActiveRecord::Schema.verbose = false
ActiveRecord::Schema.define do
  create_table(:orders) { |table| table.string :item, index: { unique: true } }
end

run Shop
